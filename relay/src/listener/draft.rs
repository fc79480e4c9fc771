//! From a transaction's envelope to what the spool stores of it. Pure.

use crate::{
    smtp::{BodyType, Envelope},
    spool::{Client, Draft, Extras, MessageId, Purpose, Timing},
};

/// What is stored beside the text.
pub(super) fn draft(envelope: &mut Envelope, id: MessageId, received_at: jiff::Timestamp, client: Client) -> Draft {
    Draft {
        id: Some(id),
        received_at,
        sender: envelope.from.as_str().to_owned(),
        recipients: envelope.recipients.iter().map(|recipient| recipient.path.as_str().to_owned()).collect(),
        eight_bit: envelope.body != BodyType::SevenBit,
        extras: extras(envelope, received_at),
        client,
        purpose: Purpose::Client,
    }
}

/// What extensions ask for, taken out of the envelope; nothing is allocated where they ask for nothing.
fn extras(envelope: &mut Envelope, received_at: jiff::Timestamp) -> Option<Box<Extras>> {
    if envelope.body == BodyType::BinaryMime {
        envelope.extensions.get_or_insert_default().binary = true;
    }
    let timing = envelope.time.take().map(|asked| Timing::of(&asked, received_at));
    if timing.is_none()
        && envelope.extensions.is_none()
        && envelope.recipients.iter().all(|recipient| recipient.extensions.is_none())
    {
        return None;
    }
    let message = envelope.extensions.take().map(|asked| *asked).unwrap_or_default();
    let recipients = (0..=u16::MAX).zip(&mut envelope.recipients);
    let recipients = recipients.filter_map(|(index, recipient)| Some((index, *recipient.extensions.take()?))).collect();
    Some(Box::new(Extras { message, timing: timing.unwrap_or_default(), recipients }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::{
        Extensions, Recipient, RecipientExtensions,
        extensions::{Notify, Return},
    };

    #[test]
    fn what_extensions_ask_for_is_stored_with_the_recipient_it_is_for() {
        let store = |envelope: &mut Envelope| {
            draft(envelope, MessageId::from_u64(1), jiff::Timestamp::UNIX_EPOCH, Client::default())
        };
        let mut envelope = Envelope::new("a@a.example".parse().unwrap());
        envelope.recipients = vec![Recipient::new("b@b.example".parse().unwrap()); 3];
        assert_eq!(store(&mut envelope).extras, None);

        let asked = RecipientExtensions { notify: Some(Notify::NEVER), original: None };
        envelope.recipients[1].extensions = asked.clone().boxed();
        let message = Extensions { ret: Some(Return::Headers), ..Extensions::default() };
        envelope.extensions = message.clone().boxed();
        assert_eq!(
            store(&mut envelope).extras,
            Some(Box::new(Extras { message, recipients: vec![(1, asked)], ..Extras::default() }))
        );
    }
}
