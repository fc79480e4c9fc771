//! Logging in at a smarthost with the credentials of its route.
//!
//! Decisions:
//! - Credentials are shown to a host whose certificate is verified, by the authorities or by its TLSA records, and in clear to this
//!   machine alone. Where the policy asks for less it is raised to Verified.
//! - A host that refuses them is suspended as a whole: its other addresses would say the same, and some lock accounts for that. Anything
//!   else is the address's. It is tried again as after any failure, and at once when the Secret changes. No message is the worse for it.
//! - A connection that was logged in with credentials that are no longer those of the Secret takes no more mail.

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError},
};

use mailsluice_crds::{
    LogLevel,
    catalogue::AuthCode,
    relay::{Route, TlsPolicy},
};
use mailsluice_ctl::words::test::StepKind;

use super::{
    approach::Approach,
    fault::{Fault, TEXT_LENGTH},
    transfer::Watcher,
};
use crate::{
    clock,
    errors::shortened,
    route::Target,
    smtp::{
        client::{AuthFault, Called, Client, ErrorKind},
        sasl::{
            Credentials,
            scram::{Binding, client::Channel},
        },
    },
    tls::{Bindings, Stream, Wanted},
};

/// What is shown to a smarthost.
pub(super) struct Login {
    /// The Secret that it is from.
    secret: String,
    credentials: Arc<Credentials>,
}

impl Approach {
    /// What is shown to the host; none where its route has no credentials.
    ///
    /// # Errors
    /// They are not there.
    pub(super) fn credentials(&self) -> Result<Option<Login>, Fault> {
        let Some(secret) = secret_of(self.config.tls_to(&self.hop).1) else { return Ok(None) };
        match self.courier.logins.get(secret) {
            Some(credentials) => Ok(Some(Login { secret: secret.to_owned(), credentials })),
            None => {
                let text = format!("the Secret {secret} is missing, or cannot be used: the Monitor's problems say why");
                Err(Fault::auth(AuthCode::NotReady, &text, None, clock::now()))
            }
        }
    }

    /// Whether a new connection would be logged in with the same.
    pub(super) fn is_logged_in_still(&self) -> bool {
        let last = self.login.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().is_none_or(|last| {
            let now = self.courier.logins.get(&last.secret);
            now.is_some_and(|now| Arc::ptr_eq(&now, &last.credentials))
        })
    }

    /// Logs in over a fresh connection.
    pub(super) async fn log_in(
        &self,
        client: &mut Client<Stream, Watcher>,
        (target, wanted): (&Target, Option<&Wanted>),
        login: Login,
    ) -> Result<(), Fault> {
        let peer = target.address.to_string();
        let secret = &login.secret;
        let bindings = client.stream().bindings();
        let verified = bindings.is_some() && wanted.is_some_and(|wanted| wanted.verified);
        if !verified && !is_here(target.address.ip()) {
            let text = format!(
                "the credentials of Secret {secret} are shown only to a host whose certificate is verified, and here it is not"
            );
            return Err(Fault::auth(AuthCode::NotVerified, &text, Some(&peer), clock::now()));
        }
        let channel = bindings.and_then(channel);
        let called = Called { host: target.name.trim_end_matches('.'), port: target.address.port(), channel };
        let error = match client.authenticate(&login.credentials, called).await {
            Ok(mechanism) => {
                self.count_login("done");
                self.record(LogLevel::LowLevel)
                    .field("peer", target.address)
                    .field("mechanism", mechanism.name())
                    .say(format_args!("logged in with the credentials of Secret {secret}"));
                self.note(|steps| {
                    let text = format!("logged in with the credentials of Secret {secret} by {}", mechanism.name());
                    steps.ok(StepKind::Auth, &text);
                });
                *self.login.lock().unwrap_or_else(PoisonError::into_inner) = Some(login);
                return Ok(());
            }
            Err(error) => error,
        };
        let mut fault = Fault::client(&error, Some(&peer), clock::now());
        self.count_login(if error.reply().is_some_and(|reply| reply.is_permanent()) { "refused" } else { "failed" });
        if let ErrorKind::Auth(why) = &error.kind {
            fault.error.text = shortened(&sentence(why, secret), TEXT_LENGTH);
        }
        self.record(LogLevel::Problems)
            .field("peer", target.address)
            .field("code", &fault.error.code)
            .say(format_args!("not logged in: {}", fault.error.text));
        Err(fault)
    }

    fn count_login(&self, result: &str) {
        if self.dry_run.is_some() {
            return;
        }
        self.courier.metrics.authentications_out.with_label_values(&[result]).inc();
    }
}

fn secret_of(route: Option<&Route>) -> Option<&str> {
    Some(route?.smarthost.as_ref()?.credentials.as_ref()?.secret_name.as_str())
}

/// What is asked of TLS with these targets, one of which will be connected to: where credentials are shown, at least that the
/// certificate is verified.
pub(super) fn raised<'a>(
    policy: TlsPolicy,
    route: Option<&Route>,
    targets: impl Iterator<Item = &'a Target> + Clone,
) -> TlsPolicy {
    let by_records = |target: &Target| target.tlsa.as_ref().is_some_and(|records| records.is_usable());
    match policy {
        _ if secret_of(route).is_none() || targets.clone().all(|target| is_here(target.address.ip())) => policy,
        TlsPolicy::Dane if targets.clone().all(by_records) => policy,
        _ => TlsPolicy::Verified,
    }
}

/// Whether an address is this machine's own, where nobody listens.
fn is_here(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// What SCRAM binds to: tls-exporter, which is the connection's alone, where there is one.
fn channel(bindings: Bindings) -> Option<Channel> {
    match (bindings.exporter, bindings.end_point) {
        (Some(octets), _) => Some(Channel { kind: Binding::Exporter, octets: octets.into() }),
        (None, Some(octets)) => Some(Channel { kind: Binding::ServerEndPoint, octets: octets.to_vec() }),
        (None, None) => None,
    }
}

/// Why the relay is not in, with what it wanted to show.
fn sentence(fault: &AuthFault, secret: &str) -> String {
    match fault {
        AuthFault::Refused { reply, said } => {
            let what = if reply.is_permanent() { "refused" } else { "could not check" };
            let said = said.as_ref().map(|said| format!(" ({said})")).unwrap_or_default();
            format!("the smarthost {what} the credentials of Secret {secret}: {reply}{said}")
        }
        AuthFault::NotOffered | AuthFault::NoMechanism(_) => {
            format!("the smarthost cannot be shown the credentials of Secret {secret}: {fault}")
        }
        AuthFault::Exchange(_) => {
            format!("the smarthost is not shown the credentials of Secret {secret} to the end: {fault}")
        }
    }
}

#[cfg(test)]
mod tests {
    use mailsluice_crds::relay::{SecretRef, Smarthost};

    use super::*;
    use crate::{
        smtp::{Reply, sasl::Mechanism},
        tls::dane::{RawTlsa, TlsaSet},
    };

    #[test]
    fn credentials_raise_the_policy_but_for_this_machine() {
        use TlsPolicy::{Dane, Off, Opportunistic, Required, Verified};
        let route = |credentials| Route {
            smarthost: Some(Smarthost { credentials, ..Smarthost::new("mail.test", 587) }),
            ..Route::default()
        };
        let some = || Some(SecretRef { secret_name: "login".into() });
        let target = |address: &str, usage: Option<u8>| {
            let tlsa = usage.map(|usage| {
                let raw = RawTlsa { usage, selector: 1, matching: 1, data: &[1; 32] };
                Arc::new(TlsaSet::new("mail.test", [raw]))
            });
            Target { name: "mail.test".into(), address: address.parse().unwrap(), tlsa, proved: false }
        };
        let away = "192.0.2.1:587";
        for (policy, credentials, targets, want) in [
            (Off, some(), vec![target(away, None)], Verified),
            (Opportunistic, some(), vec![target(away, None)], Verified),
            (Required, some(), vec![target(away, None)], Verified),
            (Verified, some(), vec![target(away, None)], Verified),
            (Dane, some(), vec![target(away, Some(3))], Dane),
            (Dane, some(), vec![target(away, Some(1))], Verified),
            (Dane, some(), vec![target(away, None)], Verified),
            (Opportunistic, None, vec![target(away, None)], Opportunistic),
            (Off, some(), vec![target("127.0.0.1:25", None)], Off),
            (Off, some(), vec![target("[::1]:25", None), target("127.0.0.1:25", None)], Off),
            (Off, some(), vec![target("[::ffff:127.0.0.1]:25", None)], Off),
            // One of the two that are raced against each other is elsewhere.
            (Opportunistic, some(), vec![target("[::1]:25", None), target(away, None)], Verified),
        ] {
            let route = route(credentials);
            assert_eq!(raised(policy, Some(&route), targets.iter()), want, "{policy:?} {targets:?} {route:?}");
        }
        assert_eq!(raised(Off, None, [target(away, None)].iter()), Off);
    }

    #[test]
    fn the_monitor_says_whose_credentials_and_what_the_host_said_of_them() {
        let refused = |code, said: Option<&str>| AuthFault::Refused {
            reply: Reply::enhanced(code, (7, 8), "Bad credentials"),
            said: said.map(str::to_owned),
        };
        for (fault, says) in [
            (refused(535, None), "the smarthost refused the credentials of Secret login: 535 5.7.8 Bad credentials"),
            (
                refused(535, Some(r#"{"status":"401"}"#)),
                r#"the smarthost refused the credentials of Secret login: 535 5.7.8 Bad credentials ({"status":"401"})"#,
            ),
            (
                refused(454, None),
                "the smarthost could not check the credentials of Secret login: 454 4.7.8 Bad credentials",
            ),
            (AuthFault::NotOffered, "the smarthost cannot be shown the credentials of Secret login: it offers no AUTH"),
            (
                AuthFault::NoMechanism(&[Mechanism::OAuthBearer, Mechanism::XOAuth2]),
                "the smarthost cannot be shown the credentials of Secret login: it offers AUTH by none of OAUTHBEARER, XOAUTH2",
            ),
        ] {
            assert_eq!(sentence(&fault, "login"), says);
        }
    }

    #[test]
    fn scram_binds_to_the_connection_rather_than_to_the_certificate() {
        let (exporter, end_point) = (Some([1; 32]), Some(Arc::from([2; 32])));
        for (bindings, kind) in [
            (Bindings { exporter, end_point: end_point.clone() }, Some(Binding::Exporter)),
            (Bindings { exporter: None, end_point }, Some(Binding::ServerEndPoint)),
            (Bindings::default(), None),
        ] {
            assert_eq!(channel(bindings).map(|channel| channel.kind), kind);
        }
    }
}
