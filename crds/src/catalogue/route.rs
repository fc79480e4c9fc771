//! Why there is no way to a host: answers of the DNS, and routes that lead nowhere.

use super::listed::listed;

listed! {
    /// Why there is no way to a host.
    pub enum RouteCode {
        NxDomain = "NXDOMAIN":
            "The DNS knows no such name.";
            "A typing error in the recipient's address or in a smarthost's name, or a domain that has expired.";
            "Look the name up from where the relay runs; correct the address, the route's smarthost, or the zone.",
        NullMx = "NULL_MX":
            "The domain says that it takes no mail: its only mail exchanger is the null MX of RFC 7505.";
            "The domain is used for the web alone, or the sender mistook it for another one.";
            "Tell the sender to use another address; if the domain is yours and is to take mail, replace its MX record.",
        NoAddress = "NO_ADDRESS":
            "The name exists, and nothing that belongs to it has an address.";
            "The MX records name hosts without A or AAAA records, or hosts of a family that the route's source lacks.";
            "Look the domain's MX up, and the addresses of each exchanger; ask the domain's administrator to correct them.",
        MxLoop = "MX_LOOP":
            "The best mail exchanger that is left is this relay itself, so its mail would come back.";
            "The domain's MX leads to the relay, and no route says where the relay is to take its mail.";
            "Add a route with a smarthost for the domain, or correct its MX.",
        PrivateAddress = "PRIVATE_ADDRESS":
            "All addresses of the domain's mail exchangers are inside ones, which its route does not allow.";
            "A zone that names inside hosts to everybody, or a DNS answer meant to make the relay reach inside machines.";
            "If the domain's hosts are inside, give it a route with privateAddresses: Allow, or with a smarthost.",
        NoRoute = "NO_ROUTE":
            "No route of the relay is for this domain.";
            "The routes list some domains and none for all others.";
            "Add the domain to a route, or a route for \"*\" behind the others.",
        BadName = "BAD_NAME":
            "The name of a smarthost is none that the DNS could know.";
            "A label of the name is empty, or longer than 63 octets.";
            "Correct the smarthost's host in the route.",
        ServFail = "SERVFAIL":
            "The DNS server could not find the answer out.";
            "The domain's own name servers do not answer, or are lame; or a resolver that verifies finds DNSSEC broken.";
            "Ask another resolver for the same name; if that fails too, it is the domain's administrator who has to act.",
        Refused = "REFUSED":
            "The DNS server does not answer such questions, or not to this relay.";
            "The resolver serves other networks only, or the name server that is asked is no resolver.";
            "Allow the relay's network at the resolver, or name another one in the pod's dnsConfig or resolv.conf.",
        DnsTimeout = "DNS_TIMEOUT":
            "The DNS server did not answer in time.";
            "The resolver is overloaded or down, the domain's name servers are, or port 53 is blocked.";
            "Try the resolver with another name: if that works, the domain's name servers are at fault; else mend the resolver.",
        DnsUnreachable = "DNS_UNREACHABLE":
            "The DNS server could not be reached.";
            "The network is down, a NetworkPolicy forbids port 53, or the resolver's address is wrong.";
            "Allow UDP and TCP to port 53 of the resolver, and look whether its address is right.",
        DnsProtocol = "DNS_PROTOCOL":
            "The DNS server's answer could not be used.";
            "A server or a firewall that breaks answers, or gives an error that is seldom given.";
            "Ask the same resolver by hand and compare with another one; the record's text has the details.",
        DnsServers = "DNS_SERVERS":
            "The system's list of DNS servers could not be read.";
            "/etc/resolv.conf is missing, or holds what cannot be read.";
            "Put the file right, or start the relay with --resolver.",
        DnssecBogus = "DNSSEC_BOGUS":
            "The answer of the DNS is not proved, where its zone is signed and the route asks for DANE.";
            "Signatures that have expired, keys that were changed without the parent zone, or a forged answer.";
            "Test the zone with a DNSSEC debugger; its administrator must sign it anew. Do not send without proof meanwhile.",
    }
}
