//! Sends commands to the process that owns the store: over the socket `control.sock` in the data folder if `serve` is
//! running; otherwise by opening the store for as long as the command takes. Only the owner ever writes to a store.
//!
//! Both sides exchange lines of JSON: a greeting with the version, then any number of commands and results. Only the user
//! that runs `serve`, and root, can open the socket.

use std::fs::{self, Permissions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use super::command::{Command, Done};
use crate::disk::{self, Lock};
use crate::engine::care::health::{Health, Report};
use crate::engine::starts::made::Start;
use crate::engine::starts::starter::Starter;
use crate::model::event::EventId;
use crate::secret::Key;
use crate::store::audit::{Audit, me};
use crate::store::contract::Store;

const SOCKET: &str = "control.sock";
/// The longest command: a replay includes its rule files.
const LONGEST: u64 = 256 << 20;
/// The maximum number of connections at a time; more wait.
const AT_A_TIME: usize = 8;
/// How long a command waits for the data folder while another command is running, or a `serve` is starting or stopping.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it waits for an answer from `serve`.
const ANSWER: Duration = Duration::from_secs(120);

#[derive(Serialize, Deserialize)]
struct Greeting {
    doorbell: String,
}

/// How the console is reached by whoever may use the data folder.
#[derive(Clone, Serialize, Deserialize)]
pub struct ConsoleAccess {
    /// With a key, where one is enough.
    pub link: String,
    pub api_key: String,
}

/// What the socket answers from.
pub struct Served {
    pub store: Arc<dyn Store>,
    pub health: Arc<Health>,
    pub audit: Arc<Audit>,
    pub starter: Starter,
    pub console: Option<ConsoleAccess>,
}

/// A request to the socket.
#[derive(Serialize, Deserialize)]
enum Asked {
    Health,
    Console,
    Do(Command),
    /// Starts a rule that starts by itself, now.
    Start(String),
}

#[derive(Serialize, Deserialize)]
enum Answered {
    Health(Report),
    Console(Option<ConsoleAccess>),
    Done(Done),
    Started(EventId),
}

type Answer = Result<Answered, String>;

fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// Opens the socket of a data folder; the caller must hold the folder's lock.
pub fn listen(data: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(data.join(SOCKET)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let (path, _folder) = reachable(data)?;
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(data.join(SOCKET), Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// The socket's path, through the open folder, because the path of a socket can have at most 107 bytes.
fn reachable(data: &Path) -> io::Result<(PathBuf, fs::File)> {
    let folder = fs::File::open(data)?;
    Ok((PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(SOCKET), folder))
}

/// Executes commands forever; `changed` is called after each, because there may be something to do now.
pub async fn serve(listener: Arc<UnixListener>, served: Arc<Served>, changed: impl Fn() + Clone + Send + Sync + 'static) {
    let places = Arc::new(Semaphore::new(AT_A_TIME));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(e) => {
                tracing::debug!("command could not be accepted: {e}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (served, changed) = (served.clone(), changed.clone());
        tokio::spawn(async move {
            if let Err(e) = converse(stream, &served, &changed).await {
                tracing::debug!("command was interrupted: {e}");
            }
            drop(place);
        });
    }
}

async fn converse(mut stream: tokio::net::UnixStream, served: &Served, changed: &(impl Fn() + Sync)) -> io::Result<()> {
    let user = stream.peer_cred().ok().map(|peer| peer.uid());
    let (read, mut write) = stream.split();
    let mut lines = tokio::io::BufReader::new(read);
    write.write_all(line(&Greeting { doorbell: version() })?.as_bytes()).await?;
    loop {
        let mut text = String::new();
        if (&mut lines).take(LONGEST).read_line(&mut text).await? == 0 {
            return Ok(());
        }
        let answer: Answer = match serde_json::from_str(&text) {
            Ok(Asked::Health) => Ok(Answered::Health(served.health.report())),
            Ok(Asked::Console) => Ok(Answered::Console(served.console.clone())),
            Ok(Asked::Do(command)) => {
                let done = perform(command, served.store.as_ref(), &served.audit, user, None).await;
                changed();
                done.map(Answered::Done)
            }
            Ok(Asked::Start(rule)) => start_rule(&rule, &served.starter, &served.audit, user, None).await.map(Answered::Started),
            Err(e) => Err(format!("the command cannot be read: {e}")),
        };
        write.write_all(line(&answer)?.as_bytes()).await?;
    }
}

/// Starts a rule now that starts by itself, and adds that to the audit log.
pub async fn start_rule(rule: &str, starter: &Starter, audit: &Audit, user: Option<u32>, by: Option<&str>) -> Result<EventId, String> {
    let now = Timestamp::now();
    let start = Start { planned: now, previous: None, missed: 0, is_by_hand: true };
    let event = starter.start(rule, start).await.map_err(|e| e.to_string())?;
    let event = event.ok_or_else(|| format!("no rule called `{rule}` starts by itself; `doorbell schedules` lists those that do"))?;
    let deed = format!("started rule `{rule}`");
    audit.write(now, user, by.map_or(deed.clone(), |by| format!("{deed}, {by}")));
    Ok(event)
}

/// Executes a command and adds it to the audit log: the user of the operating system, or, in words, who else it was.
pub async fn perform(command: Command, store: &dyn Store, audit: &Audit, user: Option<u32>, by: Option<&str>) -> Result<Done, String> {
    let done = command.perform(store, Timestamp::now()).await.map_err(|e| e.to_string());
    if let Some(deed) = command.deed(&done) {
        audit.write(Timestamp::now(), user, by.map_or(deed.clone(), |by| format!("{deed}, {by}")));
    }
    done
}

fn line<T: Serialize>(what: &T) -> io::Result<String> {
    Ok(serde_json::to_string(what)? + "\n")
}

/// Where commands are sent.
pub enum Commands {
    /// To the process that serves.
    Serving { stream: BufReader<UnixStream> },
    /// To the store, which this process owns until this is dropped.
    Alone { store: Arc<dyn Store>, runtime: Runtime, audit: Audit, _lock: Lock },
}

impl Commands {
    /// Finds out who owns the store of a data folder. The error is a message for people.
    pub fn open(data: &Path, key: &Key) -> Result<Self, String> {
        let end = Instant::now() + PATIENCE;
        loop {
            // The process with the lock owns the store; one that holds the lock without a socket will be done in a moment.
            let taken = match disk::lock(data, "data") {
                Ok(lock) => return Self::alone(data, key, lock),
                Err(why) => why,
            };
            match Self::serving(data) {
                Ok(found) => return found,
                Err(_) if Instant::now() < end => std::thread::sleep(Duration::from_millis(50)),
                Err(e) => return Err(format!("{taken} ({SOCKET} in it does not answer: {e})")),
            }
        }
    }

    fn alone(data: &Path, key: &Key, lock: Lock) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| format!("Doorbell cannot start: {e}"))?;
        let store = runtime.block_on(async { crate::store::open(data, key) }).map_err(|e| e.to_string())?;
        Ok(Commands::Alone { store, runtime, audit: Audit::of(data), _lock: lock })
    }

    fn serving(data: &Path) -> io::Result<Result<Self, String>> {
        let (path, _folder) = reachable(data)?;
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(ANSWER))?;
        let mut stream = BufReader::new(stream);
        let greeting: Greeting = read(&mut stream)?;
        Ok(match greeting.doorbell == version() {
            true => Ok(Commands::Serving { stream }),
            false => Err(format!(
                "the running Doorbell is version {}, but this command is version {}; use the same version for both",
                greeting.doorbell,
                version()
            )),
        })
    }

    /// Whether a running `serve` executes the commands.
    pub fn is_served(&self) -> bool {
        matches!(self, Commands::Serving { .. })
    }

    /// Executes a command. The error is a message for people.
    pub fn perform(&mut self, command: Command) -> Result<Done, String> {
        match self {
            Commands::Alone { store, runtime, audit, .. } => runtime.block_on(perform(command, store.as_ref(), audit, me(), None)),
            Commands::Serving { stream } => match ask(stream, &Asked::Do(command))? {
                Answered::Done(done) => Ok(done),
                Answered::Health(_) | Answered::Console(_) | Answered::Started(_) => {
                    Err("the running Doorbell sent an unexpected answer".to_owned())
                }
            },
        }
    }
}

/// The health of the `serve` of a data folder; `None` if there is none, or one of another version.
pub fn health(data: &Path) -> Option<Report> {
    let Ok(Ok(Commands::Serving { mut stream })) = Commands::serving(data) else { return None };
    match ask(&mut stream, &Asked::Health) {
        Ok(Answered::Health(report)) => Some(report),
        _ => None,
    }
}

/// Has the `serve` of a data folder start a rule now that starts by itself; `None` if there is none, or one of another version.
pub fn start(data: &Path, rule: &str) -> Option<Result<EventId, String>> {
    let Ok(Ok(Commands::Serving { mut stream })) = Commands::serving(data) else { return None };
    Some(match ask(&mut stream, &Asked::Start(rule.to_owned())) {
        Ok(Answered::Started(event)) => Ok(event),
        Ok(_) => Err("the running Doorbell sent an unexpected answer".to_owned()),
        Err(why) => Err(why),
    })
}

/// How the console of the `serve` of a data folder is reached, if it has one; `None` if there is no `serve`, or one of another
/// version.
pub fn console(data: &Path) -> Option<Option<ConsoleAccess>> {
    let Ok(Ok(Commands::Serving { mut stream })) = Commands::serving(data) else { return None };
    match ask(&mut stream, &Asked::Console) {
        Ok(Answered::Console(access)) => Some(access),
        _ => None,
    }
}

fn ask(stream: &mut BufReader<UnixStream>, asked: &Asked) -> Answer {
    let sent = line(asked).and_then(|line| stream.get_mut().write_all(line.as_bytes()));
    let answer = sent.and_then(|()| read::<Answer>(stream));
    answer.map_err(|e| format!("the running Doorbell did not answer ({e}); check that it is running, then try again"))?
}

fn read<T: for<'de> Deserialize<'de>>(stream: &mut BufReader<UnixStream>) -> io::Result<T> {
    let mut text = String::new();
    if stream.take(LONGEST).read_line(&mut text)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_str(&text)?)
}
