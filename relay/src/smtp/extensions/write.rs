//! Parameters as the client writes them, to a host that offers their extension.

use super::{Extensions, RecipientExtensions, TimeParameters};
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

/// What follows the address of RCPT.
pub(in crate::smtp) fn rcpt_parameters(extensions: &RecipientExtensions, host: &Capabilities) -> String {
    let mut parameters = String::new();
    if host.dsn {
        if let Some(notify) = extensions.notify {
            parameters.push_str(&format!(" NOTIFY={notify}"));
        }
        if let Some(original) = &extensions.original {
            parameters.push_str(" ORCPT=");
            parameters.push_str(original.as_str());
        }
    }
    parameters
}
