//! A TCP proxy in front of etcd that can be cut, or swallow answers while the requests go through.

use std::net::Ipv4Addr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

/// What it does with what it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    Forward,
    /// Requests arrive; their answers do not. Such a connection is of no use afterwards, and is closed.
    SwallowAnswers,
    /// Connections are closed.
    Cut,
}

pub(super) struct Proxy {
    port: u16,
    rule: watch::Sender<Rule>,
    _task: AbortOnDropHandle<()>,
}

impl Proxy {
    /// A proxy to a port of this machine.
    pub(super) async fn start(upstream: u16) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        let (sender, rule) = watch::channel(Rule::Forward);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(carry(client, upstream, rule.clone()));
            }
        });
        Proxy { port, rule: sender, _task: AbortOnDropHandle::new(task) }
    }

    pub(super) fn member(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) fn rule(&self, rule: Rule) {
        self.rule.send_replace(rule);
    }
}

async fn carry(mut client: TcpStream, upstream: u16, mut rule: watch::Receiver<Rule>) {
    if *rule.borrow_and_update() == Rule::Cut {
        return;
    }
    let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream)).await else { return };
    let (mut up, mut down) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut has_swallowed = false;
    loop {
        let carried = tokio::select! {
            read = client.read(&mut up) => match read {
                Ok(0) | Err(_) => return,
                Ok(read) => server.write_all(&up[..read]).await,
            },
            read = server.read(&mut down) => match read {
                Ok(0) | Err(_) => return,
                Ok(_) if *rule.borrow() == Rule::SwallowAnswers => {
                    has_swallowed = true;
                    Ok(())
                }
                Ok(_) if has_swallowed => return,
                Ok(read) => client.write_all(&down[..read]).await,
            },
            changed = rule.changed() => {
                let now = *rule.borrow();
                if changed.is_err() || now == Rule::Cut || (now == Rule::Forward && has_swallowed) {
                    return;
                }
                Ok(())
            }
        };
        if carried.is_err() {
            return;
        }
    }
}
