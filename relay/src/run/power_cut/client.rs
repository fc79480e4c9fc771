//! Clients that bring mail, over connections of their own.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
    time,
};

use super::world::World;
use crate::{listener::Reception, socket::simulated, spool::tests::simdisk::Rng};

/// Connects, brings some messages, and comes again, for ever.
pub(super) async fn run(world: World, reception: Arc<Reception>, peer: SocketAddr) {
    let mut rng = world.rng();
    loop {
        pause(&mut rng, 800_000).await;
        let (ours, theirs) = simulated::pair().unwrap();
        tokio::spawn(reception.clone().serve(ours, peer, 25));
        // The relay may have ended the session.
        let _ = session(&world, &mut rng, BufReader::new(theirs)).await;
    }
}

/// Waits up to so many microseconds.
pub(super) async fn pause(rng: &mut Rng, most: usize) {
    time::sleep(Duration::from_micros(rng.below(most) as u64)).await;
}

async fn session(world: &World, rng: &mut Rng, mut stream: BufReader<UnixStream>) -> io::Result<()> {
    reply(&mut stream).await?;
    say(&mut stream, b"EHLO client.test\r\n").await?;
    for _ in 0..1 + rng.below(4) {
        let (number, recipients, text) = world.compose(rng);
        let mut commands = vec![format!("MAIL FROM:<m{number}@back.test>\r\n")];
        commands.extend(recipients.iter().map(|recipient| format!("RCPT TO:<{recipient}>\r\n")));
        commands.push("DATA\r\n".to_owned());
        for command in commands {
            pause(rng, 2_000).await;
            if !say(&mut stream, command.as_bytes()).await?.starts_with(['2', '3']) {
                return Ok(());
            }
        }
        let (first, second) = text.split_at(rng.below(text.len()));
        stream.get_mut().write_all(first).await?;
        pause(rng, 3_000).await;
        if rng.one_in(30) {
            // Gone in the middle of a text.
            return Ok(());
        }
        stream.get_mut().write_all(second).await?;
        stream.get_mut().write_all(b".\r\n").await?;
        if rng.one_in(20) {
            // Gone without waiting for the answer.
            return Ok(());
        }
        let answer = reply(&mut stream).await?;
        if answer.starts_with("250") {
            world.answered(number);
        }
    }
    Ok(())
}

async fn say(stream: &mut BufReader<UnixStream>, octets: &[u8]) -> io::Result<String> {
    stream.get_mut().write_all(octets).await?;
    reply(stream).await
}

/// The last line of a reply.
async fn reply(stream: &mut BufReader<UnixStream>) -> io::Result<String> {
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(line);
        }
    }
}
