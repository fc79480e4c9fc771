//! What a message's client asked for by SMTP extensions, as it is stored: a list of items, each a tag, a length and octets.
//!
//! A message that has none is stored as in payload format 1, without an octet more. One that has some is of format 2, so that
//! a version which does not know what was asked for leaves the message alone rather than deliver it as if nothing had been.
//! An item whose tag is not known comes from a later version still, and is [`Malformed`] for the same reason.

use super::{
    codec::{Malformed, Octets, put_number, put_octets},
    timing::{Timing, deadline, deadline_octets, priority},
};
use crate::smtp::extensions::{Extensions, Notify, OriginalRecipient, RecipientExtensions, Return};

/// What a message's client asked for beyond the plain envelope.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extras {
    /// For the message as a whole.
    pub message: Extensions,
    /// When it may be sent and is to be delivered, and how much it matters.
    pub timing: Timing,
    /// For single recipients, by their index, ascending; only those that have something.
    pub recipients: Vec<(u16, RecipientExtensions)>,
}

impl Extras {
    /// What was asked for one recipient.
    #[must_use]
    pub fn of(&self, recipient: u16) -> Option<&RecipientExtensions> {
        let at = self.recipients.binary_search_by_key(&recipient, |(index, _)| *index).ok()?;
        self.recipients.get(at).map(|(_, asked)| asked)
    }
}

/// The tags, for good: a number once given keeps its meaning.
mod tag {
    pub(super) const RET: u64 = 1;
    pub(super) const ENVID: u64 = 2;
    pub(super) const SMTPUTF8: u64 = 3;
    pub(super) const UTF8_HEADER: u64 = 4;
    pub(super) const BINARY: u64 = 5;
    pub(super) const REQUIRE_TLS: u64 = 6;
    pub(super) const HOLD_UNTIL: u64 = 7;
    pub(super) const DELIVER_BY: u64 = 8;
    pub(super) const MT_PRIORITY: u64 = 9;
    pub(super) const AUTH: u64 = 10;
    pub(super) const TLS_OPTIONAL: u64 = 11;
    pub(super) const NOTIFY: u64 = 64;
    pub(super) const ORCPT: u64 = 65;
}

pub(super) fn put_extras(out: &mut Vec<u8>, extras: &Extras) {
    let mut items = Vec::new();
    let Extensions { smtp_utf8, utf8_header, binary, require_tls, tls_optional, ret, envid, auth } = &extras.message;
    if *smtp_utf8 {
        item(&mut items, tag::SMTPUTF8, &[]);
    }
    if *utf8_header {
        item(&mut items, tag::UTF8_HEADER, &[]);
    }
    if *binary {
        item(&mut items, tag::BINARY, &[]);
    }
    if *require_tls {
        item(&mut items, tag::REQUIRE_TLS, &[]);
    }
    if *tls_optional {
        item(&mut items, tag::TLS_OPTIONAL, &[]);
    }
    if let Some(ret) = ret {
        item(&mut items, tag::RET, &[u8::from(*ret == Return::Full)]);
    }
    if let Some(envid) = envid {
        item(&mut items, tag::ENVID, envid.as_bytes());
    }
    if let Some(auth) = auth {
        item(&mut items, tag::AUTH, auth.as_bytes());
    }
    let Timing { hold_until, deliver_by, priority } = &extras.timing;
    if let Some(hold_until) = hold_until {
        item(&mut items, tag::HOLD_UNTIL, &hold_until.as_microsecond().to_le_bytes());
    }
    if let Some(deliver_by) = deliver_by {
        item(&mut items, tag::DELIVER_BY, &deadline_octets(deliver_by));
    }
    if let Some(priority) = priority {
        item(&mut items, tag::MT_PRIORITY, &[priority.get().cast_unsigned()]);
    }
    for (index, RecipientExtensions { notify, original }) in &extras.recipients {
        if let Some(notify) = notify {
            of_recipient(&mut items, tag::NOTIFY, *index, &[notify.bits()]);
        }
        if let Some(original) = original {
            of_recipient(&mut items, tag::ORCPT, *index, original.as_str().as_bytes());
        }
    }
    put_octets(out, &items);
}

fn item(out: &mut Vec<u8>, tag: u64, value: &[u8]) {
    put_number(out, tag);
    put_octets(out, value);
}

fn of_recipient(out: &mut Vec<u8>, tag: u64, recipient: u16, value: &[u8]) {
    let mut with_index = Vec::with_capacity(value.len() + 3);
    put_number(&mut with_index, recipient.into());
    with_index.extend_from_slice(value);
    item(out, tag, &with_index);
}

pub(super) fn extras(from: &mut Octets<'_>) -> Result<Extras, Malformed> {
    let mut items = Octets(from.octets()?);
    let mut extras = Extras::default();
    while !items.0.is_empty() {
        let tag = items.number()?;
        let mut value = Octets(items.octets()?);
        match tag {
            tag::RET => {
                extras.message.ret = Some(if value.octet()? == 0 { Return::Headers } else { Return::Full });
            }
            tag::SMTPUTF8 => extras.message.smtp_utf8 = true,
            tag::UTF8_HEADER => extras.message.utf8_header = true,
            tag::BINARY => extras.message.binary = true,
            tag::REQUIRE_TLS => extras.message.require_tls = true,
            tag::TLS_OPTIONAL => extras.message.tls_optional = true,
            tag::HOLD_UNTIL => extras.timing.hold_until = Some(value.time()?),
            tag::DELIVER_BY => extras.timing.deliver_by = Some(deadline(&mut value)?),
            tag::MT_PRIORITY => extras.timing.priority = Some(priority(&mut value)?),
            tag::AUTH => extras.message.auth = Some(utf8(value.0)?.into()),
            tag::ENVID => extras.message.envid = Some(utf8(value.0)?.into()),
            tag::NOTIFY => {
                let recipient = recipient(&mut extras, &mut value)?;
                recipient.notify = Some(Notify::from_bits(value.octet()?).ok_or(Malformed)?);
            }
            tag::ORCPT => {
                let recipient = recipient(&mut extras, &mut value)?;
                recipient.original = Some(OriginalRecipient::parse(utf8(value.0)?).ok_or(Malformed)?);
            }
            _ => return Err(Malformed),
        }
    }
    Ok(extras)
}

/// The recipient whose index stands at the front of an item's value. Items come in the order of their recipients.
fn recipient<'a>(extras: &'a mut Extras, value: &mut Octets<'_>) -> Result<&'a mut RecipientExtensions, Malformed> {
    let index: u16 = value.small()?;
    match extras.recipients.last() {
        Some((last, _)) if *last == index => {}
        Some((last, _)) if *last > index => return Err(Malformed),
        _ => extras.recipients.push((index, RecipientExtensions::default())),
    }
    extras.recipients.last_mut().map(|(_, asked)| asked).ok_or(Malformed)
}

fn utf8(octets: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(octets).map_err(|_| Malformed)
}

#[cfg(test)]
pub(super) mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        smtp::extensions::timing::{Late, Priority},
        spool::timing::Deadline,
    };

    fn message() -> impl Strategy<Value = Extensions> {
        let word = || prop::option::of("[a-z0-9]{1,20}");
        (any::<[bool; 5]>(), prop::option::of(any::<bool>()), word(), word()).prop_map(
            |([smtp_utf8, utf8_header, binary, require_tls, tls_optional], ret, envid, auth)| Extensions {
                smtp_utf8,
                utf8_header,
                binary,
                require_tls,
                tls_optional,
                ret: ret.map(|full| if full { Return::Full } else { Return::Headers }),
                envid: envid.map(Into::into),
                auth: auth.map(Into::into),
            },
        )
    }

    fn timing() -> impl Strategy<Value = Timing> {
        let moment = || (0i64..4_000_000_000_000_000).prop_map(|micros| Timestamp::from_microsecond(micros).unwrap());
        let deadline = (moment(), any::<bool>(), any::<bool>()).prop_map(|(at, returned, trace)| Deadline {
            at,
            late: if returned { Late::Return } else { Late::Notify },
            trace,
        });
        let priority = (-9i8..=9).prop_map(|priority| Priority::new(priority).unwrap());
        (prop::option::of(moment()), prop::option::of(deadline), prop::option::of(priority))
            .prop_map(|(hold_until, deliver_by, priority)| Timing { hold_until, deliver_by, priority })
    }

    fn recipient() -> impl Strategy<Value = RecipientExtensions> {
        (prop::option::of(0u8..8), prop::option::of("rfc822;[a-z]{1,9}@example[.]com"))
            .prop_map(|(notify, original)| RecipientExtensions {
                notify: notify.and_then(Notify::from_bits),
                original: original.and_then(|text| OriginalRecipient::parse(&text)),
            })
            .prop_filter("one that asks for something", |asked| *asked != RecipientExtensions::default())
    }

    pub(in crate::spool) fn any_extras() -> impl Strategy<Value = Extras> {
        (message(), timing(), prop::collection::btree_map(any::<u16>(), recipient(), 0..4)).prop_map(
            |(message, timing, recipients)| Extras { message, timing, recipients: recipients.into_iter().collect() },
        )
    }

    proptest! {
        #[test]
        fn what_was_asked_for_is_read_back(extras in any_extras()) {
            let mut out = Vec::new();
            put_extras(&mut out, &extras);
            let mut from = Octets(&out);
            prop_assert_eq!(super::extras(&mut from), Ok(extras.clone()));
            prop_assert!(from.0.is_empty());
            for (index, asked) in &extras.recipients {
                prop_assert_eq!(extras.of(*index), Some(asked));
            }
        }

        #[test]
        fn no_octets_can_make_it_panic(octets in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = super::extras(&mut Octets(&octets));
        }
    }

    #[test]
    fn what_only_a_later_version_knows_is_not_passed_over() {
        let mut items = Vec::new();
        item(&mut items, 63, b"?");
        let mut out = Vec::new();
        put_octets(&mut out, &items);
        assert_eq!(extras(&mut Octets(&out)), Err(Malformed));
    }
}
