//! Several sessions do random things, the server is killed now and then; a map in memory knows what each of them sees.
//!
//! Each session changes rows of its own, so that none waits for another; all read all rows. What happens when two change the
//! same is in `isolation.rs`.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::crash::{Process, connect, free_port, kills, spawn_with};
use crate::support::{Client, DbError, Reply};

const SESSIONS: i64 = 3;
const CONTENT: &str = "SELECT id, n, s FROM m ORDER BY id";

type Rows = BTreeMap<i64, (Option<i64>, String)>;

/// What a transaction has done: new rows, and those that are gone.
type Changes = BTreeMap<i64, Option<(Option<i64>, String)>>;

#[derive(Default)]
struct Session {
    block: Option<Block>,
}

#[derive(Default)]
struct Block {
    changes: Changes,
    savepoints: Vec<Changes>,
    /// What REPEATABLE READ reads, since its first statement.
    reads: Option<Rows>,
    repeatable: bool,
    failed: bool,
}

impl Session {
    fn seen(&self, committed: &Rows) -> Rows {
        let mut rows = committed.clone();
        if let Some(block) = &self.block {
            rows = block.reads.clone().unwrap_or(rows);
            apply(&mut rows, &block.changes);
        }
        rows
    }
}

fn apply(rows: &mut Rows, changes: &Changes) {
    for (id, row) in changes {
        match row {
            Some(row) => drop(rows.insert(*id, row.clone())),
            None => drop(rows.remove(id)),
        }
    }
}

fn shown(rows: &Rows) -> Vec<Vec<Option<String>>> {
    let row = |(id, (n, s)): (&i64, &(Option<i64>, String))| {
        vec![Some(id.to_string()), n.map(|n| n.to_string()), Some(s.clone())]
    };
    rows.iter().map(row).collect()
}

struct World {
    random: StdRng,
    seed: u64,
    step: usize,
    directory: tempfile::TempDir,
    port: u16,
    process: Option<Process>,
    clients: Vec<Client>,
    sessions: Vec<Session>,
    committed: Rows,
    next: i64,
    kills: u64,
}

impl World {
    async fn new(seed: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut world = Self {
            random: StdRng::seed_from_u64(seed),
            seed,
            step: 0,
            port: free_port(),
            process: None,
            directory,
            clients: Vec::new(),
            sessions: Vec::new(),
            committed: Rows::new(),
            next: 0,
            kills: 0,
        };
        world.start().await;
        world.clients[0].simple("CREATE TABLE m (id bigint PRIMARY KEY, n bigint, s text NOT NULL)").await.unwrap();
        world.prepare().await;
        world
    }

    async fn start(&mut self) {
        self.process = None;
        self.process = Some(spawn_with(self.directory.path(), self.port, &[]));
        self.clients.clear();
        self.sessions.clear();
        for _ in 0..SESSIONS {
            self.clients.push(connect(self.port).await);
            self.sessions.push(Session::default());
        }
    }

    async fn prepare(&mut self) {
        for client in &mut self.clients {
            client.prepare("find", "SELECT id, n, s FROM m WHERE id = $1", &[]).await.unwrap();
            client.prepare("put", "UPDATE m SET n = $2, s = s || '.' WHERE id = $1", &[]).await.unwrap();
        }
    }

    fn context(&self) -> String {
        format!("seed {}, step {}", self.seed, self.step)
    }

    /// A row of a session's own, which may be there or not.
    fn own(&mut self, session: usize) -> i64 {
        let most = self.next / SESSIONS + 1;
        self.random.random_range(0..most) * SESSIONS + session as i64
    }

    async fn step(&mut self) {
        let session = self.random.random_range(0..self.clients.len());
        let visible = {
            let committed = &self.committed;
            let now = &mut self.sessions[session];
            if let Some(block) = now.block.as_mut().filter(|block| block.repeatable) {
                block.reads.get_or_insert_with(|| committed.clone());
            }
            now.seen(committed)
        };
        let mine = |id: &i64| *id % SESSIONS == session as i64;
        let mut changes = Changes::new();
        let mut fails = None;
        let reply = match self.random.random_range(0..100) {
            0..20 => {
                let first = self.next - self.next % SESSIONS + session as i64;
                let count = [1, 1, 2, 5, 300, 18_000][self.random.random_range(0..6)];
                let first = if self.random.random_bool(0.1) { self.own(session) } else { first };
                let ids: Vec<i64> = (0..count).map(|index| first + index * SESSIONS).collect();
                self.next = self.next.max(first + count * SESSIONS);
                if ids.iter().any(|id| visible.contains_key(id)) {
                    fails = Some("23505");
                }
                changes.extend(ids.iter().map(|id| (*id, Some((Some(id % 7), format!("r{}", id % 13))))));
                let sql = format!(
                    "INSERT INTO m SELECT g, g % 7, 'r' || g % 13 FROM generate_series({first}, {}, {SESSIONS}) g",
                    first + (count - 1) * SESSIONS
                );
                let few = format!("INSERT INTO m VALUES ({first}, {}, 'r{}')", first % 7, first % 13);
                self.run(session, if count == 1 { &few } else { &sql }).await
            }
            20..35 => {
                let id = self.own(session);
                if let Some((_, s)) = visible.get(&id) {
                    changes.insert(id, Some((Some(5), format!("{s}."))));
                }
                self.clients[session].run_prepared("put", &[Some(&id.to_string()), Some("5")]).await
            }
            35..50 => {
                let (k, to) = (self.random.random_range(0..7), self.random.random_range(0..3));
                for (id, (n, s)) in visible.iter().filter(|(id, (n, _))| mine(id) && *n == Some(k)) {
                    changes.insert(*id, Some((n.map(|n| n + to), format!("{s}x"))));
                }
                let own = format!("id % {SESSIONS} = {session}");
                self.run(session, &format!("UPDATE m SET n = n + {to}, s = s || 'x' WHERE n = {k} AND {own}")).await
            }
            50..60 => {
                let (k, from) = (self.random.random_range(0..11), self.own(session));
                let gone = visible.keys().filter(|id| mine(id) && **id >= from && **id % 11 == k);
                changes.extend(gone.map(|id| (*id, None)));
                let own = format!("id % {SESSIONS} = {session}");
                self.run(session, &format!("DELETE FROM m WHERE id >= {from} AND id % 11 = {k} AND {own}")).await
            }
            60..66 => {
                let id = self.random.random_range(0..=self.next);
                let found = self.clients[session].run_prepared("find", &[Some(&id.to_string())]).await;
                if let Ok(found) = &found {
                    let wanted: Rows =
                        visible.get_key_value(&id).map(|(id, row)| (*id, row.clone())).into_iter().collect();
                    assert_eq!(found.rows, shown(&wanted), "{}: row {id}", self.context());
                }
                found
            }
            66..68 => {
                fails = Some("22012");
                self.run(session, "SELECT 1 / 0").await
            }
            68..72 if self.sessions[session].block.is_none() => {
                let full = if self.random.random_bool(0.3) { "VACUUM FULL m" } else { "VACUUM m" };
                self.run(session, full).await
            }
            72..75 => return self.kill().await,
            _ => return self.transaction(session).await,
        };
        self.settle(session, &reply, changes, fails);
        self.look(session).await;
    }

    /// Takes over what a statement did, if it did.
    fn settle(&mut self, session: usize, reply: &Result<Reply, DbError>, changes: Changes, fails: Option<&str>) {
        let context = self.context();
        let block = self.sessions[session].block.as_mut();
        let fails = if block.as_ref().is_some_and(|block| block.failed) { Some("25P02") } else { fails };
        assert_eq!(reply.as_ref().err().map(|error| error.code.as_str()), fails, "{context}: {reply:?}");
        match (block, fails) {
            (Some(block), Some(_)) => block.failed = true,
            (Some(block), None) => block.changes.extend(changes),
            (None, Some(_)) => {}
            (None, None) => apply(&mut self.committed, &changes),
        }
    }

    /// BEGIN, or what goes on in a block.
    async fn transaction(&mut self, session: usize) {
        let chosen = self.random.random_range(0..10);
        let context = self.context();
        let Some(block) = &mut self.sessions[session].block else {
            let repeatable = chosen < 4;
            let level = if repeatable { "REPEATABLE READ" } else { "READ COMMITTED" };
            self.run(session, &format!("BEGIN ISOLATION LEVEL {level}")).await.unwrap();
            self.sessions[session].block = Some(Block { repeatable, ..Block::default() });
            return;
        };
        match chosen {
            0..4 if !block.failed => {
                block.savepoints.push(block.changes.clone());
                let name = block.savepoints.len();
                self.run(session, &format!("SAVEPOINT s{name}")).await.unwrap();
            }
            4..6 if !block.savepoints.is_empty() => {
                let to = self.random.random_range(1..=block.savepoints.len());
                block.savepoints.truncate(to);
                block.changes.clone_from(&block.savepoints[to - 1]);
                block.failed = false;
                self.run(session, &format!("ROLLBACK TO s{to}")).await.unwrap();
            }
            6 if !block.savepoints.is_empty() && !block.failed => {
                let name = block.savepoints.len();
                block.savepoints.pop();
                self.run(session, &format!("RELEASE s{name}")).await.unwrap();
            }
            7 => {
                self.sessions[session].block = None;
                self.run(session, "ROLLBACK").await.unwrap();
            }
            _ => {
                let block = self.sessions[session].block.take().unwrap();
                let tag = self.run(session, "COMMIT").await.unwrap().tag;
                assert_eq!(tag, if block.failed { "ROLLBACK" } else { "COMMIT" }, "{context}");
                if !block.failed {
                    apply(&mut self.committed, &block.changes);
                }
            }
        }
        self.look(session).await;
    }

    async fn run(&mut self, session: usize, sql: &str) -> Result<Reply, DbError> {
        self.clients[session].simple(sql).await.map(|mut replies| replies.pop().unwrap_or_default())
    }

    /// What a session sees is what it should.
    async fn look(&mut self, session: usize) {
        if self.sessions[session].block.as_ref().is_some_and(|block| block.failed) {
            return;
        }
        if let Some(block) = self.sessions[session].block.as_mut().filter(|block| block.repeatable) {
            block.reads.get_or_insert_with(|| self.committed.clone());
        }
        let wanted = self.sessions[session].seen(&self.committed);
        let sums = "SELECT count(*), sum(id), sum(n), sum(length(s)) FROM m";
        let got = self.run(session, sums).await.unwrap().rows.pop().unwrap();
        let number = |value: &Option<String>| value.as_ref().map_or(0, |text| text.parse::<i64>().unwrap());
        let got: Vec<i64> = got.iter().map(number).collect();
        let lengths: usize = wanted.values().map(|(_, s)| s.len()).sum();
        let sum = |values: &mut dyn Iterator<Item = i64>| values.sum::<i64>();
        let known = [
            wanted.len() as i64,
            sum(&mut wanted.keys().copied()),
            sum(&mut wanted.values().filter_map(|(n, _)| *n)),
            lengths as i64,
        ];
        assert_eq!(got, known, "{}: what session {session} sees", self.context());
        if self.step.is_multiple_of(20) {
            let rows = self.run(session, CONTENT).await.unwrap().rows;
            assert_eq!(rows, shown(&wanted), "{}: what session {session} sees", self.context());
        }
    }

    /// `kill -9`, in the middle of a COMMIT as often as not.
    async fn kill(&mut self) {
        let in_block = |session: &Session| session.block.as_ref().is_some_and(|block| !block.failed);
        let committing = self.sessions.iter().position(in_block).filter(|_| self.random.random_bool(0.7));
        let mut either = self.committed.clone();
        if let Some(session) = committing {
            apply(&mut either, &self.sessions[session].block.as_ref().unwrap().changes);
            self.clients[session].send_query("COMMIT").await;
            let wait = self.random.random_range(0..30);
            tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
        }
        self.start().await;
        self.kills += 1;
        self.prepare().await;
        let rows = self.run(0, CONTENT).await.unwrap().rows;
        if rows != shown(&self.committed) {
            assert_eq!(rows, shown(&either), "{}: after the server was killed", self.context());
            self.committed = either;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_see_what_a_model_says_also_after_kills() {
    let (wanted, mut killed, mut seed) = (kills(6), 0, 0);
    while killed < wanted {
        seed += 1;
        let mut world = World::new(seed).await;
        for step in 0..150 {
            world.step = step;
            world.step().await;
        }
        world.kill().await;
        killed += world.kills;
    }
}
