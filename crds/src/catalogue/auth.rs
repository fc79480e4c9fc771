//! Why the relay could not log in at a smarthost; what the host said to its credentials is a [`reply`](super::reply).

use super::listed::listed;

listed! {
    /// Why the relay could not log in.
    pub enum AuthCode {
        NotReady = "AUTH_NOT_READY":
            "The credentials of the route are not there.";
            "The Secret is missing, or holds nothing that can be used.";
            "Put the Secret right, as the relay's problem SecretInvalid says; mail goes as soon as it is read.",
        NotVerified = "AUTH_NOT_VERIFIED":
            "The credentials are shown only to a host whose certificate is verified, and here it is not.";
            "The host offers no TLS, or its certificate was not verified for its name.";
            "Have TLS with a certificate that is trusted at the host; name its authority as the smarthost's ca.",
        NotOffered = "AUTH_NOT_OFFERED":
            "The host offers no AUTH.";
            "Port 25 in place of a submission port, or a host that knows the relay by its address.";
            "Set another port: 587, or 465 with tlsMode: Implicit; or leave credentials out of the route.",
        NoMechanism = "AUTH_NO_MECHANISM":
            "The host offers no mechanism of AUTH that can show the credentials.";
            "It takes tokens only and the Secret has a password, or the other way round.";
            "Put into the Secret what the host takes, a password or a token.",
        BrokenOff = "AUTH_BROKEN_OFF":
            "The host does not keep to the mechanism, or does not know the password that it asks for.";
            "A faulty host, or another host in its place.";
            "Ask whoever runs the host; look whether the address is its own.",
    }
}
