//! Sends mail with the token of the pod's service account, by lettre.

use std::{env, error::Error, fs};

use lettre::{
    Message, SmtpTransport, Transport,
    transport::smtp::{
        authentication::{Credentials, Mechanism},
        client::{Certificate, CertificateStore, Tls, TlsParameters},
    },
};

fn main() -> Result<(), Box<dyn Error>> {
    let host = env::var("MAIL_HOST")?;
    let authority = Certificate::from_pem(&fs::read(env::var("MAIL_CA")?)?)?;
    let tls = TlsParameters::builder(host.clone())
        .certificate_store(CertificateStore::None)
        .add_root_certificate(authority)
        .build_rustls()?;
    // The kubelet renews the token, so a transport is made for each connection. It stands in the password's place.
    let token = fs::read_to_string(env::var("MAIL_TOKEN")?)?.trim().to_owned();
    let transport = SmtpTransport::builder_dangerous(&host)
        .port(env::var("MAIL_PORT")?.parse()?)
        .tls(Tls::Required(tls))
        .authentication(vec![Mechanism::Xoauth2])
        .credentials(Credentials::new("pod".into(), token))
        .build();
    let message = Message::builder()
        .from("Shop <orders@shop.example.org>".parse()?)
        .to("someone@example.com".parse()?)
        .subject("Your order")
        .body("It is on its way.\n".to_owned())?;
    transport.send(&message)?;
    Ok(())
}
