//! Takes the pictures of the Monitor pages that are in `docs/pictures`, for a desk and a phone, in the light and in the dark: a relay
//! with hosts in trouble; one whose link is down; the operator's page of all relays.
//!
//! `tests/page/build && tests/cluster/build && cargo run -p mailsluice-tests --bin pictures [FOLDER]`, as root or
//! with user namespaces: the hosts are on port 25 of a network of their own. It takes about three minutes, in which mail comes and goes,
//! and needs, beside what `tests/install fast` installs, the packages pngquant and fonts-inter.

mod operator;
mod relay;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use mailsluice_tests::{
    browser::{Browser, Window},
    namespace, process, workspace,
};

/// A network with nobody else in it. An API server wants an address and a way out before it starts.
const SETUP: &str = "ip link set lo up && ip link add uplink type veth peer name away && ip address add 192.0.2.2/24 dev uplink && \
     ip link set away up && ip link set uplink up && ip route add default via 192.0.2.1";

/// The windows, each by its name in the names of files.
const WINDOWS: [(&str, Window); 4] = [
    ("desktop-light", Window::DESKTOP),
    ("desktop-dark", Window::DESKTOP.dark()),
    ("phone-light", Window::PHONE),
    ("phone-dark", Window::PHONE.dark()),
];

/// More than a desk's window shows of a page, and two screens of a phone.
const HEIGHT: u32 = 2000;

fn main() {
    namespace::enter(&["--net"], SETUP);
    let folder = std::env::args().nth(1).map_or_else(|| workspace().join("docs/pictures"), PathBuf::from);
    std::fs::create_dir_all(&folder).expect("the folder of the pictures");
    operator::all_relays(&folder);
    relay::trouble(&folder);
    relay::link_down(&folder);
}

/// With 256 colours: it has fewer that can be told apart, and is a third as long.
fn take(browser: &mut Browser, file: &Path) {
    browser.picture(file, HEIGHT);
    process::run(Command::new("pngquant").args(["--speed", "1", "--strip", "--force", "--output"]).args([file, file]));
}

/// Where a host takes mail.
fn port_25(number: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, number], 25))
}
