//! The codes of errors that the system gives, and texts cut to their room.

use std::io;

use mailsluice_crds::catalogue::{Code, Errno, OwnCode};

/// The code of an error of input or output: its errno, or what it is where the system has no number for it.
#[must_use]
pub fn io_code(error: &io::Error) -> Code {
    match (error.raw_os_error(), error.kind()) {
        (Some(number), _) => Errno::new(number).into(),
        (None, io::ErrorKind::UnexpectedEof) => OwnCode::Closed.into(),
        (None, io::ErrorKind::TimedOut) => Errno::TIMED_OUT.into(),
        (None, _) => OwnCode::Broken.into(),
    }
}

/// Text cut to at most `most` characters, with an ellipsis where something is missing.
#[must_use]
pub fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno as System;

    use super::*;

    /// The catalogue has the system's numbers, without asking the system.
    #[test]
    fn errnos_have_the_systems_numbers() {
        for (errno, name) in [
            (System::ACCESS, "EACCES"),
            (System::ADDRINUSE, "EADDRINUSE"),
            (System::ADDRNOTAVAIL, "EADDRNOTAVAIL"),
            (System::AFNOSUPPORT, "EAFNOSUPPORT"),
            (System::AGAIN, "EAGAIN"),
            (System::CONNABORTED, "ECONNABORTED"),
            (System::CONNREFUSED, "ECONNREFUSED"),
            (System::CONNRESET, "ECONNRESET"),
            (System::DQUOT, "EDQUOT"),
            (System::HOSTDOWN, "EHOSTDOWN"),
            (System::HOSTUNREACH, "EHOSTUNREACH"),
            (System::INVAL, "EINVAL"),
            (System::IO, "EIO"),
            (System::MFILE, "EMFILE"),
            (System::NETDOWN, "ENETDOWN"),
            (System::NETRESET, "ENETRESET"),
            (System::NETUNREACH, "ENETUNREACH"),
            (System::NFILE, "ENFILE"),
            (System::NOBUFS, "ENOBUFS"),
            (System::NODEV, "ENODEV"),
            (System::NOMEM, "ENOMEM"),
            (System::NOSPC, "ENOSPC"),
            (System::PERM, "EPERM"),
            (System::PIPE, "EPIPE"),
            (System::ROFS, "EROFS"),
            (System::TIMEDOUT, "ETIMEDOUT"),
        ] {
            let code = io_code(&errno.into());
            assert_eq!((code.name().as_ref(), code.number()), (name, Some(errno.raw_os_error())));
        }
        assert_eq!(Errno::all().count(), 26, "an errno is listed that nobody has compared with the system's");
        assert_eq!(io_code(&io::Error::from_raw_os_error(9_999)).name(), "errno 9999");
    }

    #[test]
    fn errors_without_a_number_have_a_code_too() {
        for (kind, name) in [
            (io::ErrorKind::UnexpectedEof, "CLOSED"),
            (io::ErrorKind::TimedOut, "ETIMEDOUT"),
            (io::ErrorKind::InvalidData, "BROKEN"),
        ] {
            assert_eq!(io_code(&kind.into()).name(), name);
        }
    }

    #[test]
    fn text_is_cut_at_characters() {
        assert_eq!(shortened("grün", 4), "grün");
        assert_eq!(shortened("grüner", 4), "grü…");
    }
}
