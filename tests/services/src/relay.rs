//! A relay in front of PostgreSQL that can fall silent, as a host does that is gone without a word.

use std::net::SocketAddr;
use std::path::PathBuf;

use sea_orm::sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::watch;

/// A relay between a TCP address of its own and the socket of a server.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    server: String,
    silent: watch::Sender<bool>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Relay {
    /// A relay to the server of a database that this crate made.
    pub async fn start(database: &str) -> Self {
        let options: PgConnectOptions = database.parse().unwrap();
        let directory = options.get_socket().expect("the server of the tests listens on a socket");
        let socket = directory.join(format!(".s.PGSQL.{}", options.get_port()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (silent, hears) = watch::channel(false);
        let accepting = tokio::spawn(accept(listener, socket, hears));
        Self { address, server: database.to_owned(), silent, accepting }
    }

    /// The same database, over this relay.
    #[must_use]
    pub fn url(&self) -> String {
        let (_, database) = self.server.rsplit_once('/').expect("a URL of this crate ends in a name");
        format!("postgres://musehub@{}/{database}?sslmode=disable", self.address)
    }

    /// From now on nothing passes in either direction, and nobody is told. Connections are accepted all the same.
    pub fn fall_silent(&self) {
        self.silent.send_replace(true);
    }

    /// From now on everything passes again, over new connections: those that met the silence stay silent.
    pub fn speak_again(&self) {
        self.silent.send_replace(false);
    }
}

async fn accept(listener: TcpListener, socket: PathBuf, silent: watch::Receiver<bool>) {
    while let Ok((client, _)) = listener.accept().await {
        let (socket, silent) = (socket.clone(), silent.clone());
        tokio::spawn(async move {
            let server = UnixStream::connect(socket).await.unwrap();
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::join!(
                carry(from_client, to_server, silent.clone()),
                carry(from_server, to_client, silent)
            );
        });
    }
}

/// Carries bytes over until one side ends or silence falls, and then holds both ends open for as long as the reader does.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut silent: watch::Receiver<bool>,
) {
    let mut piece = vec![0; 16 * 1024];
    loop {
        let read = tokio::select! {
            biased;
            _ = silent.wait_for(|silent| *silent) => break,
            read = from.read(&mut piece) => read,
        };
        match read {
            Ok(length @ 1..) if to.write_all(&piece[..length]).await.is_ok() => {}
            _ => {
                let _ = to.shutdown().await;
                return;
            }
        }
    }
    // What comes is swallowed.
    while matches!(from.read(&mut piece).await, Ok(1..)) {}
}
