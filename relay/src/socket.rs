//! Opens sockets: to listen, and to connect.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use mailsluice_crds::relay::SourceAddress;
use rustix::io::Errno;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::route::local_address;

/// Connections that wait in the kernel while the relay is busy. The system's own limit (net.core.somaxconn) may be less.
const BACKLOG: u32 = 1_024;

/// Listens on `address`. On `::` both families are heard, and where the machine has no IPv6 at all, IPv4 alone: so one
/// set of arguments does for every cluster.
///
/// # Errors
/// What the system says.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    match open(address) {
        Err(error) if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && lacks_family(&error) => {
            open((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        result => result,
    }
}

/// Why a connection could not be opened.
#[derive(Debug)]
pub enum Failure {
    /// The machine cannot have a socket at the source.
    Source(io::Error),
    /// The other side cannot be had.
    Connect(io::Error),
}

/// Connects to `address`, from `source` where one is given, and sends what is written at once: whoever writes here writes whole
/// flights, and waiting for more would only add a round trip.
///
/// # Errors
/// What the system says.
pub async fn connect(address: SocketAddr, source: Option<&SourceAddress>) -> Result<TcpStream, Failure> {
    #[cfg(test)]
    if let Some(answer) = simulated::connect(address) {
        return answer.map_err(Failure::Connect);
    }
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(Failure::Connect)?;
    if let Some(source) = source {
        bind(&socket, source, address).map_err(Failure::Source)?;
    }
    let stream = socket.connect(address).await.map_err(Failure::Connect)?;
    stream.set_nodelay(true).map_err(Failure::Connect)?;
    Ok(stream)
}

/// Lets the socket leave by an interface, or from an address of the target's family.
fn bind(socket: &TcpSocket, source: &SourceAddress, target: SocketAddr) -> io::Result<()> {
    if let Some(interface) = &source.interface {
        // Allowed without privileges, since the socket is bound to no interface yet (Linux 5.7).
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    match local_address(source, target) {
        Some(address) => {
            // A port that waits for the end of an old connection may be taken for one to another host.
            socket.set_reuseaddr(true)?;
            socket.bind((address, 0).into())
        }
        None if source.interface.is_some() => Ok(()),
        None => Err(Errno::AFNOSUPPORT.into()),
    }
}

/// Whether an error says that the machine has no such address, nor perhaps any of its family.
pub(crate) fn lacks_family(error: &io::Error) -> bool {
    [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // So that a relay that starts again does not wait for connections of the one before it.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The network of a simulation: socket pairs, each with a task of the simulation at its other end.
#[cfg(test)]
pub(crate) mod simulated {
    use std::{
        cell::RefCell,
        io,
        net::SocketAddr,
        os::{fd::OwnedFd, unix::net::UnixStream as Pair},
    };

    use tokio::net::{TcpStream, UnixStream};

    type Dial = Box<dyn FnMut(SocketAddr, UnixStream)>;

    thread_local! {
        static DIAL: RefCell<Option<Dial>> = const { RefCell::new(None) };
    }

    /// From here on this thread's connections lead to `dial`, which gets the other end of each; `None` ends that.
    pub(crate) fn set(dial: Option<Dial>) {
        DIAL.set(dial);
    }

    /// Both ends of a connection: the relay's, and the other one.
    pub(crate) fn pair() -> io::Result<(TcpStream, UnixStream)> {
        let (ours, theirs) = Pair::pair()?;
        ours.set_nonblocking(true)?;
        theirs.set_nonblocking(true)?;
        // A stream is a descriptor: to read, write and wait for it is the same for all kinds of sockets.
        Ok((TcpStream::from_std(OwnedFd::from(ours).into())?, UnixStream::from_std(theirs)?))
    }

    pub(super) fn connect(address: SocketAddr) -> Option<io::Result<TcpStream>> {
        DIAL.with_borrow_mut(|dial| {
            let dial = dial.as_mut()?;
            Some(pair().map(|(ours, theirs)| {
                dial(address, theirs);
                ours
            }))
        })
    }
}
