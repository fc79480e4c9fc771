//! HTTP, as little of it as the relay's endpoints need.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status code.
    pub status: u16,
    /// Its headers, by their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: String,
}

/// Gets a page, with a bearer credential where there is one.
///
/// # Errors
/// When the server cannot be reached.
pub fn get(address: SocketAddr, path: &str, token: Option<&str>) -> io::Result<Answer> {
    let (status, headers, mut reader) = open(address, path, token)?;
    let mut body = String::new();
    reader.read_to_string(&mut body)?;
    Ok(Answer { status, headers, body })
}

/// Gets a page of any octets: its status code, and its body.
///
/// # Errors
/// When the server cannot be reached.
pub fn get_octets(address: SocketAddr, path: &str) -> io::Result<(u16, Vec<u8>)> {
    let (status, _, mut reader) = open(address, path, None)?;
    let mut body = Vec::new();
    reader.read_to_end(&mut body)?;
    Ok((status, body))
}

/// The lines of a stream as they come; an iterator that ends with the stream or when none comes for `patience`.
///
/// # Errors
/// When the server cannot be reached or does not answer 200.
pub fn lines(address: SocketAddr, path: &str, patience: Duration) -> io::Result<impl Iterator<Item = String>> {
    let (status, _, reader) = open(address, path, None)?;
    if status != 200 {
        return Err(io::Error::other(format!("{path}: {status}")));
    }
    reader.get_ref().set_read_timeout(Some(patience))?;
    Ok(reader.lines().map_while(Result::ok))
}

type Opened = (u16, BTreeMap<String, String>, BufReader<TcpStream>);

fn open(address: SocketAddr, path: &str, token: Option<&str>) -> io::Result<Opened> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let credential = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    // 1.0: the answer ends with the connection and comes in no chunks.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n{credential}\r\n")?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let mut headers = BTreeMap::new();
    while !line.trim_end().is_empty() {
        line.clear();
        reader.read_line(&mut line)?;
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    Ok((status, headers, reader))
}
