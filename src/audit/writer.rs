//! The file that records are written to.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Entry;
use super::trail::{BEGINNING, Head, file, files, line, parts};
use crate::encode::timestamp_text;
use crate::setting::Zone;

/// How long another may take to end.
const LOCK_AFTER: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(10);

#[derive(Serialize)]
struct Record<'a> {
    seq: u64,
    at: String,
    node: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<&'a str>,
    #[serde(flatten)]
    entry: &'a Entry,
}

/// The trail's end.
#[derive(Debug)]
pub(super) struct Open {
    directory: PathBuf,
    number: u64,
    file: Arc<File>,
    /// Length of the whole lines in it.
    bytes: u64,
    bytes_max: u64,
    node: String,
    seq: u64,
    hash: String,
    /// Whether the next record is the first of the file.
    fresh: bool,
    /// Whether something that was written may not be on disk.
    dirty: bool,
    /// Held as long as it is written to: another server must not write there.
    _lock: File,
}

impl Open {
    /// Goes on with a trail.
    pub(super) fn new(directory: &Path, bytes_max: u64) -> std::io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let lock = lock(directory)?;
        let mut known = files(directory)?;
        let number = known.last().map_or(1, |(number, _)| *number);
        known.retain(|(other, _)| *other < number);
        let mut options = OpenOptions::new();
        let mut file =
            options.create(true).read(true).write(true).truncate(false).mode(0o600).open(file(directory, number))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        let (whole, torn) = text.split_at_checked(whole).unwrap_or((&text, ""));
        // A file that was just begun goes on from the one before.
        let last_of =
            |text: &str| text.rsplit_once('\n').and_then(|(whole, _)| whole.lines().next_back().map(str::to_owned));
        let mut last = last_of(whole);
        while last.is_none()
            && let Some((_, before)) = known.pop()
        {
            last = last_of(&std::fs::read_to_string(before)?);
        }
        let found = last.as_deref().and_then(parts);
        let head = found.and_then(|(_, record)| serde_json::from_str::<Head>(record).ok());
        let mut open = Self {
            directory: directory.to_owned(),
            number,
            file: Arc::new(file),
            bytes: u64::try_from(whole.len()).unwrap_or(0),
            bytes_max,
            node: head.as_ref().map_or_else(|| uuid::Uuid::now_v7().to_string(), |head| head.node.clone()),
            seq: head.as_ref().map_or(0, |head| head.seq),
            hash: found.map_or_else(|| BEGINNING.to_owned(), |(hash, _)| hash.to_owned()),
            fresh: whole.is_empty(),
            dirty: false,
            _lock: lock,
        };
        if head.is_none() && last.is_some() {
            return Err(std::io::Error::other("the last line of the audit trail is no record"));
        }
        // What a crash left of a line is no record.
        open.cut()?;
        let detail = match torn.len() {
            0 => String::new(),
            length => format!("{length} bytes of a record that was being written were there"),
        };
        open.append(&[&Entry::of_server("start", detail)])?;
        open.file.sync_data()?;
        Ok(open)
    }

    /// Ends the file after its last whole line.
    fn cut(&mut self) -> std::io::Result<()> {
        self.file.set_len(self.bytes)?;
        self.file.as_ref().seek(SeekFrom::Start(self.bytes)).map(drop)
    }

    /// Writes all of it, or nothing.
    pub(super) fn append(&mut self, entries: &[&Entry]) -> std::io::Result<()> {
        if self.bytes > self.bytes_max {
            self.rotate()?;
        }
        let (mut text, mut hash, mut seq, mut fresh) = (String::new(), self.hash.clone(), self.seq, self.fresh);
        let at = timestamp_text(chrono::Utc::now().timestamp_micros(), Some(Zone::UTC));
        for entry in entries {
            seq += 1;
            let previous = fresh.then_some(hash.as_str());
            let record = Record { seq, at: at.clone(), node: &self.node, previous, entry };
            let (next, line) = line(&hash, &serde_json::to_string(&record)?);
            text.push_str(&line);
            (hash, fresh) = (next, false);
        }
        if let Err(error) = self.file.as_ref().write_all(text.as_bytes()) {
            self.cut()?;
            return Err(error);
        }
        self.bytes += u64::try_from(text.len()).unwrap_or(0);
        (self.hash, self.seq, self.fresh, self.dirty) = (hash, seq, fresh, true);
        Ok(())
    }

    fn rotate(&mut self) -> std::io::Result<()> {
        self.file.sync_data()?;
        let mut options = OpenOptions::new();
        let next = file(&self.directory, self.number + 1);
        self.file = Arc::new(options.create_new(true).write(true).mode(0o600).open(next)?);
        (self.number, self.bytes, self.fresh) = (self.number + 1, 0, true);
        File::open(&self.directory)?.sync_all()?;
        tracing::info!(seq = self.seq, head = self.hash, "the audit trail goes on in another file");
        Ok(())
    }

    /// The present file.
    pub(super) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// The present file, if something in it may not be on disk.
    pub(super) fn take_dirty(&mut self) -> Option<Arc<File>> {
        std::mem::take(&mut self.dirty).then(|| self.file())
    }

    /// What was written is not on disk, although that was tried: it is to be tried again.
    pub(super) fn not_synced(&mut self) {
        self.dirty = true;
    }
}

/// The right to write in a directory. Who had it before may take a moment to give it back.
fn lock(directory: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.create(true).write(true).truncate(false).mode(0o600).open(directory.join("lock"))?;
    let begun = Instant::now();
    while let Err(error) = file.try_lock() {
        match error {
            TryLockError::WouldBlock if begun.elapsed() < LOCK_AFTER => std::thread::sleep(PAUSE),
            TryLockError::WouldBlock => return Err(std::io::Error::other("another server writes there")),
            TryLockError::Error(error) => return Err(error),
        }
    }
    Ok(file)
}
