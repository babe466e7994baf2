//! `LISTEN` and `NOTIFY`: what clients tell each other, on all servers that share a metadata database.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::error::{Plain, SqlState};

/// The longest name of a channel, in bytes.
const CHANNEL_BYTES_MAX: usize = 63;
/// The longest text, in bytes; with what servers that share a metadata database say around it.
const PAYLOAD_BYTES_MAX: usize = 7_999;
/// Notifications that wait for one client until nobody may tell it more.
const WAITING_MAX: usize = 100_000;

/// What a client told those that listen to a channel.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Notification {
    /// The number of the client.
    pub pid: i32,
    /// The channel.
    pub channel: String,
    /// What it said; perhaps nothing.
    pub payload: String,
}

impl Notification {
    /// `22023` for a name that is empty or too long, or too long a text.
    pub fn new(pid: i32, channel: &str, payload: &str) -> Result<Self, Plain> {
        let refused = |message: &str| Plain::new(SqlState::INVALID_PARAMETER_VALUE, message);
        if channel.is_empty() {
            return Err(refused("channel name cannot be empty"));
        }
        if channel.len() > CHANNEL_BYTES_MAX {
            return Err(refused("channel name too long"));
        }
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(refused("payload string too long"));
        }
        Ok(Self { pid, channel: channel.to_owned(), payload: payload.to_owned() })
    }
}

/// `LISTEN` or `UNLISTEN`, done when the transaction commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listening {
    /// To a channel.
    To(String),
    /// To a channel no more.
    NoMoreTo(String),
    /// To none any more.
    ToNone,
}

/// What a client listens to, and what it was told and has not read.
#[derive(Default)]
pub struct Mailbox {
    content: Mutex<Content>,
    came: Notify,
}

#[derive(Default)]
struct Content {
    channels: BTreeSet<String>,
    waiting: VecDeque<Arc<Notification>>,
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mailbox")
    }
}

impl Mailbox {
    /// Begins to listen, or ends it.
    pub fn listen(&self, listening: Listening) {
        let channels = &mut self.lock().channels;
        match listening {
            Listening::To(channel) => drop(channels.insert(channel)),
            Listening::NoMoreTo(channel) => drop(channels.remove(&channel)),
            Listening::ToNone => channels.clear(),
        }
    }

    /// The channels it listens to, by name.
    pub fn channels(&self) -> Vec<String> {
        self.lock().channels.iter().cloned().collect()
    }

    /// What it was told since the last call.
    pub fn take(&self) -> VecDeque<Arc<Notification>> {
        std::mem::take(&mut self.lock().waiting)
    }

    /// Waits until it was told something.
    pub async fn arrived(&self) {
        loop {
            let came = self.came.notified();
            if !self.lock().waiting.is_empty() {
                return;
            }
            came.await;
        }
    }

    /// Whether it listens to a channel and does not read what it is told.
    pub(crate) fn is_full(&self, channel: &str) -> bool {
        let content = self.lock();
        content.waiting.len() >= WAITING_MAX && content.channels.contains(channel)
    }

    /// Takes in what is told on the channels it listens to. `false`: too much waits already, and nothing is taken in.
    pub(crate) fn put(&self, notifications: &[Arc<Notification>]) -> bool {
        let mut content = self.lock();
        let Content { channels, waiting } = &mut *content;
        let before = waiting.len();
        let mut heard = notifications.iter().filter(|told| channels.contains(&told.channel)).peekable();
        if before >= WAITING_MAX && heard.peek().is_some() {
            return false;
        }
        waiting.extend(heard.cloned());
        if waiting.len() > before {
            self.came.notify_one();
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As servers tell each other.
#[derive(Serialize, Deserialize)]
struct Letter {
    from: u64,
    told: Notification,
}

/// What a server tells others. `22023` if it is too long.
pub fn letter(from: u64, told: &Notification) -> Result<String, Plain> {
    let letter = Letter { from, told: told.clone() };
    let letter = serde_json::to_string(&letter).map_err(|error| crate::error::internal(error.to_string()))?;
    if letter.len() > PAYLOAD_BYTES_MAX {
        return Err(Plain::new(SqlState::INVALID_PARAMETER_VALUE, "payload string too long")
            .hint("Servers that share a metadata database have room for less than one server."));
    }
    Ok(letter)
}

/// The server that a letter is from, and what it tells.
pub fn read(letter: &str) -> Result<(u64, Notification), serde_json::Error> {
    serde_json::from_str(letter).map(|Letter { from, told }| (from, told))
}
