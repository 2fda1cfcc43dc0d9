//! What is gathered, with SQLite above and faults below.

use std::{cell::Cell, fs, mem, path::Path, sync::Once};

use rusqlite::{Connection, OpenFlags};

use super::*;

/// A file that remembers what was written to it, and where; or one that is full.
#[derive(Default)]
struct Log {
    written: Vec<(i64, Vec<u8>)>,
    content: Vec<u8>,
    full: bool,
}

impl File for Log {
    fn write(&mut self, bytes: &[u8], offset: i64) -> Result<(), c_int> {
        if self.full {
            return Err(sqlite::SQLITE_FULL);
        }
        let start = usize::try_from(offset).unwrap();
        let end = start + bytes.len();
        self.content.resize(end.max(self.content.len()), 0);
        self.content[start..end].copy_from_slice(bytes);
        self.written.push((offset, bytes.to_vec()));
        Ok(())
    }

    fn size(&mut self) -> Result<i64, c_int> {
        Ok(after(0, &self.content))
    }
}

/// The header of a frame.
fn header(last: bool) -> Vec<u8> {
    let mut header = vec![7; FRAME_HEADER];
    header[4..8].copy_from_slice(&u32::from(last).to_be_bytes());
    header
}

/// Something held back at the end of a log, after a frame that was written.
fn held() -> (Held, Log) {
    let (mut held, mut log) = (Held::default(), Log::default());
    held.write(&header(true), 32, &mut log).unwrap();
    held.write(&[1; 512], 56, &mut log).unwrap();
    log.written.clear();
    held.write(&header(false), 568, &mut log).unwrap();
    held.write(&[2; 512], 592, &mut log).unwrap();
    (held, log)
}

#[test]
fn frames_wait_for_the_last_of_their_transaction() {
    let (mut held, mut log) = held();
    assert_eq!(log.written, []);

    held.write(&header(true), 1104, &mut log).unwrap();
    assert_eq!(log.written, []);
    held.write(&[3; 512], 1128, &mut log).unwrap();

    let frames = [header(false), vec![2; 512], header(true), vec![3; 512]];
    assert_eq!(log.written, [(568, frames.concat())]);
}

#[test]
fn what_corrects_the_log_comes_after_what_was_held_back() {
    let (mut held, mut log) = held();

    held.write(&[4; 512], 56, &mut log).unwrap();

    let frame = [header(false), vec![2; 512]].concat();
    assert_eq!(log.written, [(568, frame), (56, vec![4; 512])]);
}

#[test]
fn no_more_is_held_back_than_there_is_room_for() {
    let (mut held, mut log) = held();
    let mut offset = 1104;
    while log.written.is_empty() {
        held.write(&[5; 4096], offset, &mut log).unwrap();
        offset += 4096;
    }

    assert_eq!(log.written[0].0, 568);
    assert!(log.written[0].1.len() <= ROOM);
    assert!(log.written[0].1.len() + 4096 > ROOM);
}

#[test]
fn what_fails_to_be_written_is_not_written_later() {
    let (mut held, mut log) = held();

    held.write(&header(true), 1104, &mut log).unwrap();
    log.full = true;
    let failed = held.write(&[3; 512], 1128, &mut log);
    assert_eq!(failed, Err(sqlite::SQLITE_FULL));

    log.full = false;
    held.write(&header(true), 568, &mut log).unwrap();
    held.write(&[6; 512], 592, &mut log).unwrap();
    let frame = [header(true), vec![6; 512]].concat();
    assert_eq!(log.written, [(568, frame)]);
}

#[test]
fn what_fails_to_be_written_for_a_read_is_written_later() {
    let (mut held, mut log) = held();

    log.full = true;
    assert_eq!(held.flush(&mut log), Err(sqlite::SQLITE_FULL));
    log.full = false;
    held.write(&header(true), 1104, &mut log).unwrap();
    held.write(&[3; 512], 1128, &mut log).unwrap();

    let frames = [header(false), vec![2; 512], header(true), vec![3; 512]];
    assert_eq!(log.written, [(568, frames.concat())]);
}

/// Writes a transaction of one frame.
fn commit(held: &mut Held, log: &mut impl File, offset: i64) {
    held.write(&header(true), offset, log).unwrap();
    held.write(&[8; 1000], offset + 24, log).unwrap();
}

#[test]
fn a_file_is_seldom_made_longer() {
    let (mut held, mut log) = (Held::default(), Log::default());

    let mut sizes = Vec::new();
    let mut end = 0;
    while end < 2 * AHEAD {
        commit(&mut held, &mut log, end);
        end += 1024;
        sizes.push(log.content.len());
    }

    sizes.dedup();
    assert_eq!(sizes.len(), 2);
    let end = usize::try_from(end).unwrap();
    let frame = [header(true), vec![8; 1000]].concat();
    assert!(
        log.content[..end]
            .chunks(1024)
            .all(|written| written == frame)
    );
    assert!(log.content[end..].iter().all(|&byte| byte == 0));
}

#[test]
fn a_file_that_others_made_longer_is_long_enough() {
    let (mut held, mut log) = (Held::default(), Log::default());
    commit(&mut held, &mut log, 0);
    let end = after(0, &log.content);
    log.content.resize(2 * log.content.len(), 9);
    log.written.clear();

    commit(&mut held, &mut log, end);

    let frame = vec![(end, header(true)), (end + 24, vec![8; 1000])];
    assert_eq!(log.written, frame);
}

#[test]
fn a_file_that_others_made_shorter_is_made_longer_with_a_new_log() {
    let (mut held, mut log) = (Held::default(), Log::default());
    commit(&mut held, &mut log, 0);
    log.content.clear();

    commit(&mut held, &mut log, 0);

    assert!(after(0, &log.content) > AHEAD);
}

#[test]
fn a_file_that_cannot_be_made_longer_is_as_long_as_it_has_to_be() {
    /// One that has room for the log alone.
    struct Tight(Log);

    impl File for Tight {
        fn write(&mut self, bytes: &[u8], offset: i64) -> Result<(), c_int> {
            self.0.full = bytes.iter().all(|&byte| byte == 0);
            self.0.write(bytes, offset)
        }

        fn size(&mut self) -> Result<i64, c_int> {
            self.0.size()
        }
    }

    let (mut held, mut log) = (Held::default(), Tight(Log::default()));
    for offset in [0, 1024] {
        commit(&mut held, &mut log, offset);
    }

    assert_eq!(log.0.content.len(), 2048);
}

/// A connection that gathers, or one that does not.
fn connect(path: &Path, vfs: &str) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    Connection::open_with_flags_and_vfs(path, flags, vfs).unwrap()
}

/// A database with one row, a connection that gathers, and one that does not. The former keeps
/// so few pages that it writes some to the log before it commits.
fn database(folder: &Path) -> (Connection, Connection) {
    let path = folder.join("database");
    let gathering = connect(&path, vfs());
    gathering
        .execute_batch(&format!(
            "pragma journal_mode = wal;
             pragma cache_size = 10;
             create table t (id integer primary key, value integer not null, bulk blob);
             create index by_value on t (value);
             create table u (id integer primary key, value unique not null, bulk blob);
             insert into t (value) values (0);
             {SERIES}",
        ))
        .unwrap();
    let other = connect(&path, "unix");
    (gathering, other)
}

/// Adds rows of some 40 pages in all.
const ADD: &str = "insert into t (value, bulk)
                   select value * 7919 % 1009, randomblob(1500) from generate_series_of_100";
/// What stands for a series in this test.
const SERIES: &str = "create view generate_series_of_100 as
                      with recursive n (value) as
                          (values (1) union all select value + 1 from n where value < 100)
                      select value from n";

/// How many rows there are, and all else that is in them; and that nothing is wrong with the
/// file.
fn content(connection: &Connection) -> (i64, String) {
    let integrity: String = connection
        .query_row("pragma integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(integrity, "ok");
    connection
        .query_row(
            "select count(*), total(value) || ', ' || total(length(bulk)) || ', '
                 || max(coalesce(hex(substr(bulk, -8)), ''))
             from (select value, bulk from t union all select value, bulk from u)",
            [],
            |row| {
                Ok((
                    row.get(0)?,
                    row.get::<_, Option<String>>(1)?.unwrap_or_default(),
                ))
            },
        )
        .unwrap()
}

/// What is found in copies of the files, as if the machine had stopped now.
fn recovered(folder: &Path) -> (i64, String) {
    let copy = tempfile::tempdir().unwrap();
    for file in ["database", "database-wal"] {
        fs::copy(folder.join(file), copy.path().join(file)).unwrap();
    }
    content(&connect(&copy.path().join("database"), "unix"))
}

#[test]
fn what_is_committed_is_in_the_file_whatever_came_before() {
    // With NORMAL nothing is synced at a commit.
    for synchronous in ["full", "normal"] {
        let folder = tempfile::tempdir().unwrap();
        let (gathering, other) = database(folder.path());
        gathering
            .pragma_update(None, "synchronous", synchronous)
            .unwrap();
        let undone = format!("savepoint a; {ADD}; update t set value = value + 1; rollback to a");
        let corrected =
            format!("{ADD}; update t set value = value + 1; update t set bulk = randomblob(1400)");
        let steps = [
            ADD.to_owned(),
            corrected.clone(),
            undone.clone(),
            format!("{undone}; {ADD}"),
            format!("{ADD}; {undone}; {corrected}"),
            "delete from t where id % 3 = 0".to_owned(),
            "insert into t (value) values (1)".to_owned(),
        ];
        for step in steps.iter().cycle().take(3 * steps.len()) {
            let before = content(&other);
            gathering
                .execute_batch(&format!("begin immediate; {step}"))
                .unwrap();
            let within = content(&gathering);
            assert_eq!(content(&other), before, "{step}");
            gathering.execute_batch("commit").unwrap();

            assert_eq!(content(&gathering), within, "{step}");
            assert_eq!(content(&other), within, "{step}");
            assert_eq!(recovered(folder.path()), within, "{step}");

            // The same again, in vain.
            gathering
                .execute_batch(&format!("begin immediate; {step}; rollback"))
                .unwrap();
            assert_eq!(content(&gathering), within, "{step}");
            assert_eq!(recovered(folder.path()), within, "{step}");
            other
                .execute_batch("insert into t (value) values (2)")
                .unwrap();
            assert_eq!(content(&gathering).0, within.0 + 1, "{step}");
            assert_eq!(recovered(folder.path()).0, within.0 + 1, "{step}");
        }
        gathering
            .execute_batch("pragma wal_checkpoint (truncate)")
            .unwrap();
        let end = content(&gathering);
        drop(gathering);
        drop(other);
        assert_eq!(
            content(&connect(&folder.path().join("database"), "unix")),
            end
        );
    }
}

#[test]
fn what_is_given_up_does_not_come_over_what_another_writes_next() {
    let folder = tempfile::tempdir().unwrap();
    let (gathering, other) = database(folder.path());
    // Pages that are written to the log, and none that is read from there again.
    let add = "pragma wal_checkpoint;
               begin immediate;
               insert into t (value, bulk) select id, zeroblob(100000) from t limit 1";

    gathering
        .execute_batch(&format!("{add}; rollback"))
        .unwrap();
    other.execute_batch(&format!("{add}; commit")).unwrap();
    let committed = content(&other);
    // Whatever may still be held back comes before what these do.
    gathering.execute_batch("pragma wal_checkpoint").unwrap();
    drop(gathering);

    assert_eq!(content(&other), committed);
    assert_eq!(recovered(folder.path()), committed);
}

#[test]
fn who_is_gone_amid_a_transaction_has_written_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (gathering, other) = database(folder.path());
    let before = content(&other);

    gathering
        .execute_batch(&format!("begin immediate; {ADD}"))
        .unwrap();
    drop(gathering);

    assert_eq!(content(&other), before);
    assert_eq!(recovered(folder.path()), before);
}

thread_local! {
    /// After how many writes of this thread to a log one fails, and with what.
    static FAULT: Cell<Option<(u32, c_int)>> = const { Cell::new(None) };
}

unsafe extern "C" {
    fn pwrite(file: c_int, bytes: *const c_void, size: usize, offset: i64) -> isize;
    fn __errno_location() -> *mut c_int;
}

/// The call of the system that SQLite writes with, in which a [`FAULT`] comes. Before it
/// fails for want of room, a part is written.
unsafe extern "C" fn faulty(file: c_int, bytes: *const c_void, size: usize, offset: i64) -> isize {
    let path = fs::read_link(format!("/proc/self/fd/{file}")).unwrap_or_default();
    let fault = FAULT
        .get()
        .filter(|_| path.to_string_lossy().ends_with("-wal"));
    // SAFETY: what SQLite passes; and each thread has a number of the latest error.
    unsafe {
        match fault {
            Some((1, ENOSPC)) => {
                FAULT.set(Some((0, ENOSPC)));
                pwrite(file, bytes, size / 2, offset)
            }
            Some((0, error)) => {
                *__errno_location() = error;
                -1
            }
            Some((more, error)) => {
                FAULT.set(Some((more - 1, error)));
                pwrite(file, bytes, size, offset)
            }
            None => pwrite(file, bytes, size, offset),
        }
    }
}

const EIO: c_int = 5;
const ENOSPC: c_int = 28;

/// Lets the SQLite of this process write with [`faulty`].
fn install_faults() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: it is there for good, and so is the function, which has the signature that
        // is expected under both names.
        unsafe {
            let vfs = sqlite::sqlite3_vfs_find(c"unix".as_ptr());
            let set = (*vfs).xSetSystemCall.unwrap();
            let function = mem::transmute::<*const (), unsafe extern "C" fn()>(faulty as *const ());
            for name in [c"pwrite", c"pwrite64"] {
                set(vfs, name.as_ptr(), Some(function));
            }
        }
    });
}

/// Numbers that look random, the same for each seed.
struct Random(u32);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 % end
    }

    fn statement(&mut self) -> String {
        let (n, size) = (self.below(300), self.below(4000));
        match self.below(7) {
            0 | 1 => format!(
                "insert into t (value, bulk)
                 select value * 7919 % 1009, randomblob({size}) from generate_series_of_100
                 where value <= {n} / 5"
            ),
            2 => format!("update t set value = value + 1 where id % 3 = {n} % 3"),
            3 => format!("delete from t where id % 7 = {n} % 7"),
            4 => format!("insert into t (value, bulk) values (1, zeroblob(10 * {size}))"),
            // These may abort after they have changed something.
            5 => format!(
                "insert into u (value, bulk)
                 select id * 1000 + {n}, zeroblob({size}) from t where id % 5 = {n} % 5 limit 50"
            ),
            _ => {
                format!("update u set value = value + 1, bulk = zeroblob({size}) where id % 4 = 0")
            }
        }
    }
}

/// A transaction of some statements, some of them in savepoints, as the writer makes it: a
/// statement that fails is undone, and what comes after it is committed. Whether it was.
fn transaction(connection: &Connection, random: &mut Random) -> bool {
    let execute = |sql: &str| connection.execute_batch(sql).is_ok();
    if !execute("begin immediate") {
        return false;
    }
    for _ in 0..=random.below(6) {
        // A failure may have ended it.
        if connection.is_autocommit() {
            return false;
        }
        let savepoint = random.below(2) == 0 && execute("savepoint job");
        let done = execute(&random.statement());
        if savepoint && !connection.is_autocommit() {
            if !done || random.below(3) == 0 {
                execute("rollback to job");
            }
            execute("release job");
        }
        if random.below(8) == 0 {
            FAULT.set(None);
        }
    }
    let committed = !connection.is_autocommit() && random.below(4) > 0 && execute("commit");
    if !connection.is_autocommit() {
        execute("rollback");
    }
    committed
}

#[test]
fn whatever_fails_what_is_committed_is_in_the_file_and_nothing_else() {
    install_faults();
    let (mut commits, mut failures) = (0, 0);
    for seed in 1..=24 {
        let mut random = Random(0x9E37_79B9_u32.wrapping_mul(seed));
        let folder = tempfile::tempdir().unwrap();
        let (gathering, other) = database(folder.path());
        gathering
            .execute_batch(&format!(
                "pragma synchronous = {};
                 pragma cache_size = {}",
                ["normal", "full", "extra"][random.below(3) as usize],
                5 + random.below(30),
            ))
            .unwrap();
        for step in 0..20 {
            let before = content(&other);
            if random.below(2) == 0 {
                let error = [EIO, ENOSPC][random.below(2) as usize];
                FAULT.set(Some((random.below(6), error)));
            }
            let committed = transaction(&gathering, &mut random);
            FAULT.set(None);

            let now = content(&other);
            assert_eq!(recovered(folder.path()), now, "{seed}, {step}");
            assert_eq!(content(&gathering), now, "{seed}, {step}");
            if committed {
                commits += 1;
            } else {
                failures += 1;
                assert_eq!(now, before, "{seed}, {step}");
            }
            match random.below(8) {
                0 => other
                    .execute_batch("pragma wal_checkpoint (truncate)")
                    .unwrap(),
                1 => gathering.execute_batch("pragma wal_checkpoint").unwrap(),
                2 | 3 => other.execute_batch(ADD).unwrap(),
                _ => {}
            }
        }
    }
    // Else it shows nothing.
    assert!(
        commits > 50 && failures > 50,
        "{commits} commits, {failures} others"
    );
}

#[test]
fn what_a_read_could_not_write_is_committed_with_the_rest() {
    install_faults();
    let folder = tempfile::tempdir().unwrap();
    let (gathering, other) = database(folder.path());
    let execute = |sql: &str| gathering.execute_batch(sql);
    execute(ADD).unwrap();
    execute("insert into u select id, id, bulk from t; pragma wal_checkpoint").unwrap();
    // What is read from the log later.
    execute("update u set bulk = randomblob(1500) where id between 50 and 52").unwrap();

    execute("begin immediate; update t set bulk = randomblob(1500)").unwrap();
    execute("savepoint job").unwrap();
    FAULT.set(Some((0, ENOSPC)));
    let failed = execute("insert into u (value, bulk) select id + 1000, bulk from u where id = 51");
    FAULT.set(None);
    // SQLite has undone that statement alone: the transaction is there, and all before it.
    assert!(failed.is_err());
    execute("rollback to job; release job; insert into t (value) values (7)").unwrap();
    execute("commit").unwrap();

    let committed = content(&gathering);
    assert_eq!(content(&other), committed);
    assert_eq!(recovered(folder.path()), committed);
}
