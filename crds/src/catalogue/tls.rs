//! Why there is no TLS with a host, or none that is to be trusted.

use super::listed::listed;

listed! {
    /// Faults of TLS; alerts are in [`alert`](super::alert).
    pub enum TlsCode {
        NotOffered = "TLS_NOT_OFFERED":
            "The host offers no STARTTLS, and the route or the domain's policy asks for TLS.";
            "The host has no certificate, takes TLS on another port, or somebody in between hides that it is offered.";
            "Ask the host's administrator; only where mail may go in clear, set the route's tls to Opportunistic.",
        Injection = "TLS_INJECTION":
            "More than the reply to STARTTLS came in clear before the handshake, as if to be believed under TLS.";
            "An attacker in between, or a host with a grave fault.";
            "Do not send to it over this network; tell the host's administrator.",
        Protocol = "TLS_PROTOCOL":
            "The two do not come together about TLS, or the host breaks its rules.";
            "The host knows only versions before TLS 1.2, shares no cipher, or something else answers on that port.";
            "Ask the host's administrator for TLS 1.2 or 1.3; the text says what was wrong.",
        Broken = "TLS_BROKEN":
            "The connection failed in the handshake.";
            "A firewall or proxy that does not let TLS through, or a host that crashes over it.";
            "Try `openssl s_client -starttls smtp` from the relay's network; compare with another network.",
        Timeout = "TLS_TIMEOUT":
            "The handshake was not done in its time.";
            "An overloaded host, or a path that swallows large packets (a wrong MTU).";
            "Compare with a small MTU; if it lasts, ask the host's administrator.",
        NotReady = "TLS_NOT_READY":
            "What the route asks for is not there: a Secret, or a name to verify.";
            "The Secret of the route's ca or clientCertificate is missing or cannot be used.";
            "Put the Secret right that the text names; mail goes as soon as it is read.",
        Expired = "CERT_EXPIRED":
            "The host's certificate has expired.";
            "Its administrator forgot to renew it, or the relay's clock is wrong.";
            "Look at the date in the text and at the node's clock; ask the host's administrator to renew the certificate.",
        NotYetValid = "CERT_NOT_YET_VALID":
            "The host's certificate is not valid yet.";
            "The relay's clock is behind, or the certificate was put in place too early.";
            "Compare the date in the text with the node's clock, and set the clock by NTP.",
        WrongName = "CERT_WRONG_NAME":
            "The host's certificate is for other names than the one that leads to it.";
            "The route names the host by another name or by its address, or it shows the certificate of another service.";
            "Use one of the names in the text as the smarthost's host, or have a certificate made for the name that is used.",
        UnknownIssuer = "CERT_UNKNOWN_ISSUER":
            "The host's certificate is from an authority that is not trusted.";
            "It is signed by itself or by an authority of the house, or the host does not send the intermediate certificates.";
            "Put the authority's certificate into a Secret and name it as the route's ca; or have the host send its chain.",
        Revoked = "CERT_REVOKED":
            "The host's certificate is revoked.";
            "Its key was lost, or it was replaced.";
            "Do not send before the host's administrator has put another certificate in place.",
        BadSignature = "CERT_BAD_SIGNATURE":
            "The host's certificate has a signature that is not its issuer's.";
            "An authority that has the same name and another key, as after it was made anew; or a forged certificate.";
            "Put the authority's present certificate into the route's ca; or have the host's certificate made by the authority that is trusted.",
        Bad = "CERT_BAD":
            "The host's certificate cannot be used.";
            "It is malformed, made for another purpose, or uses algorithms that are not safe any more.";
            "The text says what is wrong with it; the host needs another certificate.",
        DaneMismatch = "DANE_MISMATCH":
            "None of the TLSA records of the host names the certificate that it shows.";
            "The host changed its certificate and not its records, or somebody in between shows another one.";
            "Ask the domain's administrator to publish records for the certificate; do not switch DANE off to get the mail out.",
        StsOtherHost = "STS_OTHER_HOST":
            "The domain's MTA-STS policy names other mail exchangers than the DNS.";
            "The MX was changed and not the policy, or the answer of the DNS is forged.";
            "Compare the MX with https://mta-sts.DOMAIN/.well-known/mta-sts.txt, and tell the domain's administrator.",
        MxNotProved = "MX_NOT_PROVED":
            "Nothing proves that the domain's mail goes to this host, and the message requires TLS all the way (REQUIRETLS).";
            "The domain's MX record is not signed (DNSSEC), and its MTA-STS policy could not be fetched.";
            "The message waits for the policy; look why it cannot be fetched, which the log says at the domain.",
        StsInvalid = "sts-policy-invalid":
            "What the domain's web server gives is no MTA-STS policy; the one before it, if any, stays in force.";
            "A mistake in the policy's file.";
            "Tell the domain's administrator; mail goes meanwhile as without a new policy.",
        StsWebpkiInvalid = "sts-webpki-invalid":
            "The certificate of the web server with the domain's MTA-STS policy is not to be trusted.";
            "It has expired, or is not for mta-sts. and the domain.";
            "Tell the domain's administrator which certificate the text names.",
        StsFetchError = "sts-policy-fetch-error":
            "The domain's MTA-STS policy could not be fetched.";
            "Its web server is down, answers with something else than the policy, or port 443 is closed to the relay.";
            "Allow HTTPS on the relay's way out; if others fail too, tell the domain's administrator.",
    }
}
