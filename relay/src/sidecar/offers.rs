//! What the application is offered: what the gateway offers to the sidecar, as far as it can be passed on.
//!
//! Decisions:
//! - An extension is passed on where the sidecar knows that it changes nothing but commands and replies that go through as they are.
//!   BINARYMIME needs CHUNKING, whose counts the sidecar keeps to.
//! - STARTTLS and AUTH are between the sidecar and its gateway. REQUIRETLS is for mail that comes under TLS (RFC 8689 section 2), and the
//!   application's does not. XCLIENT and ETRN are not for applications.
//! - PIPELINING is the sidecar's own: it passes on at once what comes at once.
//! - Of LIMITS (RFC 9422) RCPTMAX is passed on alone: the others are about connections, and the application has another than the sidecar.

use crate::smtp::Reply;

/// Extensions that go through the sidecar as they are.
const PASSED_ON: [&str; 9] = [
    "SIZE",
    "8BITMIME",
    "CHUNKING",
    "SMTPUTF8",
    "DSN",
    "ENHANCEDSTATUSCODES",
    "DELIVERBY",
    "MT-PRIORITY",
    "FUTURERELEASE",
];

/// The lines of the reply to EHLO, but for the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offers(Vec<String>);

impl Default for Offers {
    /// While no gateway has said what it offers: what no mail can do without.
    fn default() -> Offers {
        Offers(["PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"].map(str::to_owned).into())
    }
}

impl Offers {
    /// Those of a gateway, by its reply to EHLO.
    pub(super) fn of(hello: &Reply) -> Offers {
        let lines = || hello.text().split('\n').skip(1);
        let has = |name: &str| lines().any(|line| keyword(line).eq_ignore_ascii_case(name));
        let mut passed = vec!["PIPELINING".to_owned()];
        for line in lines() {
            let name = keyword(line);
            let is = |other: &str| name.eq_ignore_ascii_case(other);
            if PASSED_ON.into_iter().any(is) || is("BINARYMIME") && has("CHUNKING") {
                passed.push(line.trim_ascii().to_owned());
            } else if is("LIMITS")
                && let Some(limit) = line.split_ascii_whitespace().find(|word| word.starts_with("RCPTMAX="))
            {
                passed.push(format!("LIMITS {limit}"));
            }
        }
        Offers(passed)
    }

    /// The reply to EHLO.
    pub(super) fn reply(&self, hostname: &str) -> Reply {
        Reply::new(250, format!("{hostname}\n{}", self.0.join("\n")))
    }
}

fn keyword(line: &str) -> &str {
    line.split_ascii_whitespace().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_gateway_offers_is_passed_on_but_for_what_is_between_the_two() {
        for (gateway, application) in [
            (
                "PIPELINING\nSIZE 52428800\n8BITMIME\nBINARYMIME\nCHUNKING\nSMTPUTF8\nDSN\nENHANCEDSTATUSCODES\n\
                 LIMITS RCPTMAX=1000\nDELIVERBY\nMT-PRIORITY\nETRN\nFUTURERELEASE 604800 2026-12-03T00:00:00Z\nREQUIRETLS\n\
                 XCLIENT NAME ADDR\nAUTH PLAIN\nSTARTTLS",
                "PIPELINING\nSIZE 52428800\n8BITMIME\nBINARYMIME\nCHUNKING\nSMTPUTF8\nDSN\nENHANCEDSTATUSCODES\n\
                 LIMITS RCPTMAX=1000\nDELIVERBY\nMT-PRIORITY\nFUTURERELEASE 604800 2026-12-03T00:00:00Z",
            ),
            ("size\nBINARYMIME\nLIMITS MAILMAX=3", "PIPELINING\nsize"),
            ("LIMITS MAILMAX=3 RCPTMAX=5\nSIZE=1\nX-ODD", "PIPELINING\nLIMITS RCPTMAX=5"),
        ] {
            let reply = Offers::of(&Reply::new(250, format!("gateway.test\n{gateway}"))).reply("pod-0");
            assert_eq!(reply, Reply::new(250, format!("pod-0\n{application}")), "{gateway}");
        }
        assert_eq!(Offers::of(&Reply::new(250, "gateway.test")).reply("pod-0"), Reply::new(250, "pod-0\nPIPELINING"));
    }
}
