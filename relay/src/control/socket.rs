//! The socket: for its owner alone, and who is at its other end.

use std::{fs, io, os::unix::fs::PermissionsExt as _, path::Path};

use axum::{
    extract::{ConnectInfo, Request, connect_info::Connected},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse as _, Response},
    serve::IncomingStream,
};
use tokio::net::UnixListener;

use crate::log::Record;

/// The socket's name in the spool's folder.
pub(super) const SOCKET: &str = "control.sock";

/// Where it is made, before it has its permissions.
const NEW: &str = "control.new";

/// Who asks, as the kernel says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    /// The user's number; none where the kernel did not say.
    pub(super) uid: Option<u32>,
}

impl Peer {
    /// Notes it in a record.
    pub(super) fn note(self, record: Record<'_>) -> Record<'_> {
        match self.uid {
            Some(uid) => record.number("uid", uid),
            None => record,
        }
    }
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Peer {
        Peer { uid: stream.io().peer_cred().ok().map(|peer| peer.uid()) }
    }
}

/// Makes the socket in a folder, in the place of one that a killed relay has left. Only the relay that has the spool's lock may.
///
/// # Errors
/// What the system says: a path of more than 107 octets is too long for a socket.
pub(super) fn bind(folder: &Path) -> io::Result<UnixListener> {
    let new = folder.join(NEW);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&new)?;
    // It is found by its name only when it is for its owner alone.
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600))?;
    fs::rename(&new, folder.join(SOCKET))?;
    Ok(listener)
}

/// Takes the socket away.
pub fn unbind(folder: &Path) {
    // The next start replaces one that is left.
    let _ = fs::remove_file(folder.join(SOCKET));
}

/// Lets in root and the relay's own user, whatever somebody did to the socket's permissions.
pub(super) async fn authorize(ConnectInfo(peer): ConnectInfo<Peer>, request: Request, next: Next) -> Response {
    let own = rustix::process::geteuid().as_raw();
    match peer.uid {
        Some(uid) if uid == 0 || uid == own => next.run(request).await,
        _ => (StatusCode::FORBIDDEN, "the relay obeys its own user and root").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_for_its_owner_and_takes_the_place_of_one_that_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let left = bind(folder.path()).unwrap();
        let again = bind(folder.path()).unwrap();
        drop(left);
        let socket = folder.path().join(SOCKET);
        assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
        let (connected, accepted) = tokio::join!(tokio::net::UnixStream::connect(&socket), again.accept());
        assert!(connected.is_ok() && accepted.is_ok());
        unbind(folder.path());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
