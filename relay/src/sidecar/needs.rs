//! What a MAIL needs of the gateway: whether it may be answered before the gateway has seen it. Pure.
//!
//! Decisions:
//! - It may where nothing in it can be refused for what it is: each parameter belongs to an extension that the gateway offers, and SIZE is
//!   within the limit that it announces. Any other is put to the gateway at once, and so is refused by its own words.
//! - What a message says of its time (DELIVERBY, FUTURERELEASE, MT-PRIORITY) is for the gateway to judge.

use crate::smtp::{client::Capabilities, command::MailParameters, envelope::BodyType};

/// The parameters of a MAIL, as far as it matters who answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Needs {
    size: Option<u64>,
    body: BodyType,
    smtp_utf8: bool,
    dsn: bool,
    time: bool,
}

impl Needs {
    /// Those of these parameters.
    pub(super) fn of(parameters: &MailParameters) -> Needs {
        let asked = parameters.extensions.as_deref();
        Needs {
            size: parameters.size,
            body: parameters.body,
            smtp_utf8: asked.is_some_and(|asked| asked.smtp_utf8),
            dsn: asked.is_some_and(|asked| asked.ret.is_some() || asked.envid.is_some()),
            time: parameters.time.is_some(),
        }
    }

    /// Whether a gateway that offers this has no reason in the parameters to refuse.
    pub(super) fn are_met(&self, offered: &Capabilities) -> bool {
        let size = match (self.size, offered.size) {
            (None, _) => true,
            (Some(_), None) => false,
            // 0 announces no limit (RFC 1870 section 4).
            (Some(size), Some(limit)) => limit == 0 || size <= limit,
        };
        let body = match self.body {
            BodyType::SevenBit => true,
            BodyType::EightBitMime => offered.eight_bit_mime,
            BodyType::BinaryMime => offered.binary_mime && offered.chunking,
        };
        size && body && !self.time && (offered.smtp_utf8 || !self.smtp_utf8) && (offered.dsn || !self.dsn)
    }

    /// Whether the text can come by BDAT alone (RFC 3030 section 3).
    pub(super) fn are_binary(&self) -> bool {
        self.body == BodyType::BinaryMime
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::command::{self, Command};

    #[test]
    fn a_mail_is_met_by_a_gateway_that_offers_all_it_asks_for() {
        let all = Capabilities {
            size: Some(1_000),
            eight_bit_mime: true,
            chunking: true,
            binary_mime: true,
            smtp_utf8: true,
            dsn: true,
            deliver_by: Some(0),
            mt_priority: true,
            ..Capabilities::default()
        };
        let without = |change: fn(&mut Capabilities)| {
            let mut offered = all;
            change(&mut offered);
            offered
        };
        let none = Capabilities::default();
        for (parameters, offered, met) in [
            ("", none, true),
            (" BODY=7BIT", none, true),
            (" SIZE=1000 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x", all, true),
            (" SIZE=1001", all, false),
            (" SIZE=99999999999999999999", all, false),
            (" SIZE=1001", without(|offered| offered.size = Some(0)), true),
            (" SIZE=0", without(|offered| offered.size = None), false),
            (" BODY=8BITMIME", without(|offered| offered.eight_bit_mime = false), false),
            (" BODY=BINARYMIME", all, true),
            (" BODY=BINARYMIME", without(|offered| offered.binary_mime = false), false),
            (" BODY=BINARYMIME", without(|offered| offered.chunking = false), false),
            (" SMTPUTF8", without(|offered| offered.smtp_utf8 = false), false),
            (" RET=FULL", without(|offered| offered.dsn = false), false),
            (" ENVID=x", without(|offered| offered.dsn = false), false),
            (" BY=100;N", all, false),
            (" MT-PRIORITY=3", all, false),
            (" HOLDFOR=60", all, false),
        ] {
            let parsed = command::parse(format!("MAIL FROM:<a@one.test>{parameters}").as_bytes(), false);
            let Ok(Command::Mail(_, asked)) = parsed else { panic!("{parameters}: {parsed:?}") };
            let needs = Needs::of(&asked);
            assert_eq!(needs.are_met(&offered), met, "{parameters} of {offered:?}");
            assert_eq!(needs.are_binary(), parameters.contains("BINARY"), "{parameters}");
        }
    }
}
