//! How the relay names itself: in HELO to other hosts, in its greeting to clients, in Received and in bounces.
//!
//! One name for all of it, as `myhostname` is in Postfix: hosts compare what HELO says with the DNS, and who reads a Received line
//! looks for the same name there.

/// What `hello` of an SMTPRelay means on this machine. `{pod}` stands for the machine's name up to its first dot, which in a
/// cluster is the pod's: so each replica of a StatefulSet has a name that the DNS can have an address for, and keeps it.
#[must_use]
pub fn name(template: Option<&str>, machine: &str) -> String {
    let pod = machine.split('.').next().unwrap_or_default();
    template.map_or_else(|| machine.to_owned(), |template| template.replace("{pod}", pod))
}

/// The machine's name.
#[must_use]
pub fn machine() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_replica_has_a_name_of_its_own_where_the_template_says_so() {
        for (template, machine, want) in [
            (None, "outbound-0", "outbound-0"),
            (None, "mail.example.org", "mail.example.org"),
            (Some("mail.example.org"), "outbound-1", "mail.example.org"),
            (Some("{pod}.mail.example.org"), "outbound-1", "outbound-1.mail.example.org"),
            (Some("mx-{pod}.example.org"), "outbound-1.node.example", "mx-outbound-1.example.org"),
        ] {
            assert_eq!(name(template, machine), want, "{template:?} on {machine}");
        }
    }
}
