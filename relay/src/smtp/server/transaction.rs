//! The commands of a transaction: MAIL, RCPT, DATA and BDAT.

use bytes::BytesMut;

use super::{
    Session,
    state::{Question, State, Step},
};
use crate::smtp::{
    address::ReversePath,
    command::{CommandError, MailParameters},
    envelope::{BodyType, Envelope, Recipient},
    reply::Reply,
};

impl Session {
    pub(super) fn mail(
        &mut self,
        from: ReversePath,
        parameters: MailParameters,
        output: &mut BytesMut,
    ) -> Option<Step> {
        if self.hello.is_none() {
            return self.out_of_order("Send HELO or EHLO first", output);
        }
        if matches!(self.state, State::Transaction(_)) {
            return self.out_of_order("MAIL within a transaction; send RSET first", output);
        }
        if parameters.size.is_some_and(|size| size > self.config.max_size) {
            self.too_large().render(output);
            return None;
        }
        if parameters.time.as_ref().is_some_and(|time| time.hold.is_some()) && self.config.future_release.is_none() {
            CommandError::ParameterUnknown.reply().render(output);
            return None;
        }
        if !self.tls && parameters.extensions.as_ref().is_some_and(|asked| asked.require_tls) {
            let reply = match self.config.start_tls {
                // What servers say that want STARTTLS first.
                true => Reply::enhanced(530, (7, 10), "REQUIRETLS is for mail under TLS; send STARTTLS first"),
                false => CommandError::ParameterUnknown.reply(),
            };
            reply.render(output);
            return None;
        }
        let MailParameters { size, body, time, mut extensions } = parameters;
        if let Some(said) = extensions.as_mut().and_then(|asked| asked.auth.as_mut()) {
            if self.config.auth.is_none() {
                CommandError::ParameterUnknown.reply().render(output);
                return None;
            }
            // Who has not shown who it is says of nobody who that is (RFC 4954 section 5).
            if !self.authenticated {
                *said = "<>".into();
            }
        }
        let envelope = Envelope { size, body, time, extensions, ..Envelope::new(from) };
        self.ask(envelope, Question::Sender)
    }

    pub(super) fn rcpt(&mut self, recipient: Recipient, output: &mut BytesMut) -> Option<Step> {
        match std::mem::replace(&mut self.state, State::Ready) {
            State::Transaction(envelope) if envelope.recipients.len() < self.config.max_recipients => {
                self.ask(envelope, Question::Recipient(recipient))
            }
            State::Transaction(envelope) => {
                self.state = State::Transaction(envelope);
                Reply::enhanced(452, (5, 3), "Too many recipients in one message").render(output);
                None
            }
            _ => self.out_of_order("Send MAIL first", output),
        }
    }

    pub(super) fn data(&mut self, output: &mut BytesMut) -> Option<Step> {
        match std::mem::replace(&mut self.state, State::Ready) {
            State::Transaction(envelope) if envelope.recipients.is_empty() => {
                self.state = State::Transaction(envelope);
                // Not junk: a client that pipelines says DATA before it knows that no recipient was accepted.
                Reply::enhanced(554, (5, 1), "No valid recipients").render(output);
                None
            }
            State::Transaction(envelope) if envelope.body == BodyType::BinaryMime => {
                self.state = State::Transaction(envelope);
                // RFC 3030 section 3.
                self.out_of_order("A message of BODY=BINARYMIME comes by BDAT", output)
            }
            State::Transaction(envelope) => self.ask(envelope, Question::Body),
            _ => self.out_of_order("Send MAIL first", output),
        }
    }

    /// A refused chunk is passed over before it is answered, and is no junk: it may be on its way behind one that failed.
    pub(super) fn bdat(&mut self, size: u64, last: bool) -> Option<Step> {
        let reply = match std::mem::replace(&mut self.state, State::Ready) {
            State::BetweenChunks(message) => {
                self.state = State::Chunk { message, size, left: size, last };
                return None;
            }
            State::Transaction(envelope) if envelope.recipients.is_empty() => {
                Reply::enhanced(554, (5, 1), "No valid recipients")
            }
            State::Transaction(envelope) => return self.ask(envelope, Question::Chunk { size, last }),
            _ => Reply::enhanced(503, (5, 1), "Send MAIL first"),
        };
        self.state = State::Skip { left: size, reply };
        None
    }

    fn ask(&mut self, envelope: Envelope, question: Question) -> Option<Step> {
        self.state = State::Asked(envelope, question);
        Some(Step::Ask)
    }

    pub(super) fn too_large(&self) -> Reply {
        let text = format!("Message is larger than {} octets", self.config.max_size);
        Reply::enhanced(552, (3, 4), text)
    }
}
