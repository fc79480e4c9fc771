//! Who the client of a session is: what it shows by AUTH and by its certificate, and what it can still show.

use std::{net::IpAddr, sync::Arc};

use mailsluice_crds::{LogLevel, relay::TlsMode};

use super::session::Session;
use crate::{
    access::{Holder, Identity, Peer, Verdict, Way},
    clients::Page,
    config::Config,
    smtp::{
        Reply,
        sasl::scram::{self, Binding, StoredKeys},
        server::{AuthOffer, Credentials, ScramAnswer},
    },
    tls::Details,
};

/// Characters of a name that are logged: it is any text, as long as nothing has let it in.
const NAME_LOGGED: usize = 64;

/// What a client has shown, and what is known of it by that.
#[derive(Default)]
pub(super) struct Shown {
    /// What it has shown by AUTH.
    pub(super) identity: Option<Identity>,
    /// What its certificate says.
    pub(super) holder: Option<Holder>,
    /// Its page, once something was noted of it; another one when it has shown something else, or other clients are listed.
    pub(super) page: Option<Arc<Page>>,
    /// Whether something was refused since a sender was taken last.
    pub(super) refused: bool,
}

/// The answer to what a client shows.
pub(super) enum Judged {
    In(Identity),
    GoOn(ScramAnswer),
    /// With what the client is not told.
    Out(Reply, Option<String>),
}

impl Session {
    /// How clients may show who they are.
    pub(super) fn auth_offer(&self, config: &Config) -> Option<AuthOffer> {
        let passwords = config.access.user_secrets().next().is_some();
        let tokens = config.access.has_service_accounts();
        let scram = passwords && self.reception.accounts.know_scram(&config.access);
        let in_clear = self.is_local();
        (passwords || tokens).then_some(AuthOffer { passwords, scram, tokens, in_clear })
    }

    /// The client, as access is given or refused to it.
    pub(super) fn peer<'a>(&self, shown: &'a Shown, config: &Config, secured: bool) -> Peer<'a> {
        let address = self.address();
        let offered = config.access.user_secrets().next().is_some() || config.access.has_service_accounts();
        let way = if !offered || shown.identity.is_some() {
            Way::None
        } else if secured || self.is_local() {
            Way::Auth
        } else if self.tls_of(config).is_some_and(|tls| tls.mode == TlsMode::StartTls) {
            Way::StartTlsFirst
        } else {
            Way::None
        };
        Peer { address, identity: shown.identity.as_ref(), holder: shown.holder.as_ref(), way }
    }

    /// What the client's certificate says by this configuration.
    pub(super) fn holder(&self, config: &Config, tls: &Details) -> Option<Holder> {
        let authorities = self.reception.accounts.authorities();
        authorities.holder(&tls.server.chain, config.access.authority_secrets())
    }

    /// Judges what the client shows.
    pub(super) async fn judge(&self, config: &Config, shown: Credentials<'_>, tls: Option<&Details>) -> Judged {
        let (accounts, access, address) = (&self.reception.accounts, &config.access, self.address());
        let verdict = match shown {
            Credentials::Password { user, password } => accounts.check_password(access, address, user, password).await,
            Credentials::Token(token) => accounts.check_token(access, address, token),
            Credentials::ScramUser { user, binding } => match accounts.scram(access, address, user) {
                Ok(keys) => match scram_answer(keys, binding, tls) {
                    Some(answer) => return Judged::GoOn(answer),
                    None => Verdict::Fails("what it binds to is not there".into()),
                },
                Err(verdict) => verdict,
            },
            Credentials::Scram { user, proven } => accounts.settle_scram(access, address, user, proven),
        };
        self.settle(config, shown, verdict)
    }

    fn settle(&self, config: &Config, shown: Credentials<'_>, verdict: Verdict) -> Judged {
        let (result, reply, why) = match verdict {
            Verdict::Holds(identity) => {
                self.record(LogLevel::LowLevel).field("user", &identity).say("the client has shown who it is");
                self.count_authentication("done");
                return Judged::In(identity);
            }
            Verdict::Fails(why) => ("failed", Reply::enhanced(535, (7, 8), "Authentication failed"), why),
            Verdict::Wait(wait) => {
                let text = format!("Too many failures to authenticate; try again in {} s", wait.as_secs() + 1);
                ("limited", Reply::enhanced(454, (7, 0), text.clone()), text)
            }
            Verdict::Busy => {
                let text = "Too many passwords wait to be checked; try again later";
                ("busy", Reply::enhanced(454, (7, 0), text), text.to_owned())
            }
        };
        let user = match shown {
            Credentials::Token(_) => None,
            Credentials::Password { user, .. }
            | Credentials::ScramUser { user, .. }
            | Credentials::Scram { user, .. } => Some(user.chars().take(NAME_LOGGED).collect::<String>()),
        };
        let record = self.record(LogLevel::Problems).maybe("user", user.as_ref());
        record.say(format_args!("the client has not shown who it is: {why}"));
        self.count_authentication(result);
        self.count_refusal(&reply);
        // A name that is nobody's may be a password in the wrong place.
        let user = user.filter(|user| self.reception.accounts.has_user(&config.access, user));
        let why = (result == "failed").then(|| match user {
            Some(user) => format!("user {user}: {why}"),
            None => why,
        });
        Judged::Out(reply, why)
    }

    fn count_authentication(&self, result: &str) {
        self.reception.metrics.authentications_in.with_label_values(&[result]).inc();
    }

    /// Whether nobody can listen: the client is on this machine, by nobody's word but its own address.
    fn is_local(&self) -> bool {
        self.client.via.is_none() && self.address().to_canonical().is_loopback()
    }

    fn address(&self) -> IpAddr {
        self.client.address.ip()
    }
}

/// What SCRAM goes on with; None where what the client binds to is not there.
fn scram_answer(keys: StoredKeys, binding: Option<Binding>, tls: Option<&Details>) -> Option<ScramAnswer> {
    let binding = match binding {
        None => Vec::new(),
        Some(Binding::Exporter) => tls?.server.bindings.exporter?.to_vec(),
        Some(Binding::ServerEndPoint) => tls?.server.bindings.end_point.as_ref()?.to_vec(),
    };
    Some(ScramAnswer { keys, binding, nonce: scram::nonce()? })
}
