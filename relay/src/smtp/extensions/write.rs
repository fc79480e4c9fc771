//! Parameters as the client writes them, to a host that offers their extension.

use super::{Extensions, Notify, RecipientExtensions, TimeParameters, timing::Late};
use crate::smtp::client::Capabilities;

/// What follows the address, SIZE and BODY of MAIL, with a blank in front of each parameter.
///
/// RET and ENVID are left out where DSN is not offered: the report, if one is due, is then ours to send (RFC 3461 section 5.2).
pub(in crate::smtp) fn mail_parameters(extensions: &Extensions, host: &Capabilities) -> String {
    let mut parameters = String::new();
    if extensions.require_tls && host.require_tls {
        parameters.push_str(" REQUIRETLS");
    }
    if host.dsn {
        if let Some(ret) = extensions.ret {
            parameters.push_str(" RET=");
            parameters.push_str(ret.as_str());
        }
        if let Some(envid) = &extensions.envid {
            parameters.push_str(" ENVID=");
            parameters.push_str(envid);
        }
    }
    parameters
}

/// Who submitted the message, for a host that the client has authenticated itself to: `<>` where nobody who is trusted has said it
/// (RFC 4954 section 5). Hosts that only offer AUTH are not told: it is nobody else's business.
pub(in crate::smtp) fn submitter_parameter(extensions: Option<&Extensions>) -> String {
    let said = extensions.and_then(|asked| asked.auth.as_deref());
    format!(" AUTH={}", said.unwrap_or("<>"))
}

/// What MAIL says of a message's time, behind [`mail_parameters`].
pub(in crate::smtp) fn time_parameters(time: &TimeParameters, host: &Capabilities) -> String {
    let mut parameters = String::new();
    if host.deliver_by.is_some()
        && let Some(by) = time.deliver_by
    {
        parameters.push_str(&format!(" BY={by}"));
    }
    if host.mt_priority
        && let Some(priority) = time.priority
    {
        parameters.push_str(&format!(" MT-PRIORITY={priority}"));
    }
    parameters
}

/// What follows the address of RCPT, in a message with such a time, that goes as SMTPUTF8 or does not: then the characters of ORCPT
/// that are not ASCII are written as RFC 6533 section 3 has them for that.
///
/// A host that knows nothing of the time by which the message is to be there is asked to tell of its own delays at least (RFC 2852
/// section 4.1.4.2).
pub(in crate::smtp) fn rcpt_parameters(
    asked: Option<&RecipientExtensions>,
    time: Option<&TimeParameters>,
    utf8: bool,
    host: &Capabilities,
) -> String {
    let mut parameters = String::new();
    if !host.dsn {
        return parameters;
    }
    let mut notify = asked.and_then(|asked| asked.notify);
    let by = time.and_then(|time| time.deliver_by).filter(|_| host.deliver_by.is_none());
    if by.is_some_and(|by| by.late == Late::Notify && by.seconds > 0) && notify != Some(Notify::NEVER) {
        notify = Some(notify.unwrap_or(Notify::FAILURE).and(Notify::DELAY));
    }
    if let Some(notify) = notify {
        parameters.push_str(&format!(" NOTIFY={notify}"));
    }
    if let Some(original) = asked.and_then(|asked| asked.original.as_ref()) {
        parameters.push_str(" ORCPT=");
        for c in original.as_str().chars() {
            if utf8 || c.is_ascii() {
                parameters.push(c);
            } else {
                parameters.push_str(&format!("\\x{{{:X}}}", u32::from(c)));
            }
        }
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::extensions::{OriginalRecipient, timing::DeliverBy};

    #[test]
    fn a_host_that_does_not_know_the_time_is_asked_to_tell_of_delays() {
        let dsn = Capabilities { dsn: true, ..Capabilities::default() };
        let both = Capabilities { deliver_by: Some(0), ..dsn };
        let by = |seconds, late| Some(DeliverBy { seconds, late, trace: false });
        for (host, deliver_by, notify, expected) in [
            (&dsn, by(60, Late::Notify), None, " NOTIFY=FAILURE,DELAY"),
            (&dsn, by(60, Late::Notify), Some(Notify::SUCCESS), " NOTIFY=SUCCESS,DELAY"),
            (&dsn, by(60, Late::Notify), Some(Notify::NEVER), " NOTIFY=NEVER"),
            // The sender has been told already.
            (&dsn, by(-60, Late::Notify), None, ""),
            (&dsn, None, None, ""),
            (&both, by(60, Late::Notify), None, ""),
            (&Capabilities::default(), by(60, Late::Notify), Some(Notify::FAILURE), ""),
        ] {
            let asked = RecipientExtensions { notify, ..RecipientExtensions::default() };
            let time = TimeParameters { deliver_by, ..TimeParameters::default() };
            assert_eq!(rcpt_parameters(Some(&asked), Some(&time), false, host), expected, "{deliver_by:?} {notify:?}");
        }
        let time = TimeParameters { deliver_by: by(60, Late::Notify), ..TimeParameters::default() };
        assert_eq!(rcpt_parameters(None, Some(&time), false, &dsn), " NOTIFY=FAILURE,DELAY");
    }

    #[test]
    fn an_original_recipient_is_in_utf8_only_where_the_message_is() {
        let dsn = Capabilities { dsn: true, ..Capabilities::default() };
        let original = OriginalRecipient::parse("utf-8;büro@例.test");
        let asked = RecipientExtensions { original, ..RecipientExtensions::default() };
        let written = |utf8| rcpt_parameters(Some(&asked), None, utf8, &dsn);
        assert_eq!(written(true), " ORCPT=utf-8;büro@例.test");
        assert_eq!(written(false), " ORCPT=utf-8;b\\x{FC}ro@\\x{4F8B}.test");
    }
}
