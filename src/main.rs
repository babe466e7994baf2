//! The `boathouse` command: flags → configuration → server → exit code.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use boathouse::app::{App, forget_secrets, is_healthy};
use boathouse::config::{Config, ConfigError, initial_password};
use boathouse::demo::{DemoDirectory, tour};
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `EX_CONFIG` of sysexits.h.
const EXIT_CONFIG: u8 = 78;

/// A lakehouse you can psql into.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(Flags),
    /// Run a fresh server in a temporary directory, with sample data and a guided tour.
    Demo {
        /// Address to accept PostgreSQL clients on.
        #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5432")]
        listen: SocketAddr,
    },
    /// Show or check the configuration.
    Config {
        #[command(subcommand)]
        what: ConfigCommand,
    },
    /// Give up all secrets, because their master key is lost, and set a new password for user boathouse. Other roles have no
    /// passwords any more, storage credentials no keys. All servers on this metadata must be stopped.
    ForgetSecrets(Flags),
    /// Exit with 0 if a server answers.
    Health {
        /// Where it listens.
        #[arg(long, default_value = "127.0.0.1:5432")]
        addr: String,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the defaults.
    Default,
    /// Print the configuration that `serve` would use.
    Show(Flags),
    /// Report every fault of the configuration.
    Check(Flags),
}

#[derive(Debug, Args)]
struct Flags {
    /// A TOML file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Holds metadata and warehouse [default: ./boathouse-data].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address to accept PostgreSQL clients on [default: 127.0.0.1:5432].
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<SocketAddr>,
}

impl Flags {
    fn config(&self) -> Result<Config, ConfigError> {
        let mut config = Config::load(self.config.as_deref(), std::env::vars())?;
        if let Some(directory) = &self.data_dir {
            config.storage.data_dir.clone_from(directory);
        }
        if let Some(listen) = self.listen {
            config.wire.listen = listen;
        }
        config.check()?;
        Ok(config)
    }
}

/// Address space for each thread's stack: planning goes as deep as a statement does, whose depth is limited.
const STACK_BYTES: usize = 256 << 20;

fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_unset| "info".into()))
        .with_writer(std::io::stderr)
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK_BYTES).build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failure(&anyhow::anyhow!(error)),
    };
    match runtime.block_on(run(cli)) {
        Ok(code) => code,
        Err(error) => failure(&error),
    }
}

fn failure(error: &anyhow::Error) -> ExitCode {
    say_error(&format!("{error:#}"));
    if error.is::<ConfigError>() { ExitCode::from(EXIT_CONFIG) } else { ExitCode::FAILURE }
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Serve(flags) => serve(&flags.config()?).await?,
        Command::Demo { listen } => demo(listen).await?,
        Command::Config { what: ConfigCommand::Default } => say(&Config::default().to_toml()),
        Command::Config { what: ConfigCommand::Show(flags) } => say(&flags.config()?.to_toml()),
        Command::Config { what: ConfigCommand::Check(flags) } => {
            flags.config()?;
            say("the configuration has no faults");
        }
        Command::ForgetSecrets(flags) => match forget_secrets(&flags.config()?, initial_password()).await? {
            Some(password) => say(&format!("password of user boathouse (shown once): {password}")),
            None => say("user boathouse has the password of BOATHOUSE_PASSWORD"),
        },
        Command::Health { addr } => {
            return Ok(if is_healthy(&addr).await { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: &Config) -> anyhow::Result<()> {
    let app = App::start(config, initial_password()).await?;
    if let Some(password) = &app.generated_password {
        say(&format!("password of user boathouse (shown once): {password}"));
    }
    let address = app.address()?;
    announce_and_run(app, address).await
}

async fn demo(listen: SocketAddr) -> anyhow::Result<()> {
    say("preparing a lake and a warehouse …");
    let directory = DemoDirectory::create()?;
    let mut config = Config::default();
    config.storage.data_dir = directory.data();
    config.wire.listen = listen;
    config.lake.allow = vec![directory.lake_url()];
    let password = "demo";
    let app = App::start(&config, Some(password.to_owned())).await?;
    tour(app.shared(), &directory.lake_url(), say).await?;
    let address = app.address()?;
    say("\n-- The server keeps running; Ctrl-C ends it and removes everything. Connect with");
    say(&format!(
        "psql 'host={} port={} user=boathouse dbname=boathouse password={password}'",
        address.ip(),
        address.port()
    ));
    announce_and_run(app, address).await
}

/// Says that the server is there, and serves until a signal comes. Whoever reads the line may send one at once.
async fn announce_and_run(app: App, address: SocketAddr) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hangup = signal(SignalKind::hangup())?;
    let login = Arc::clone(&app.shared().login);
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            login.ask_for_reload();
        }
    });
    say(&format!("listening on {address}"));
    let shutdown = app.shutdown();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        shutdown.cancel();
    });
    app.run().await;
    Ok(())
}

/// What the operator asked for goes to standard output; whether anybody reads it is not our concern.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _unread = writeln!(out, "{text}").and_then(|()| out.flush());
}

fn say_error(text: &str) {
    let _unread = writeln!(std::io::stderr().lock(), "boathouse: {text}");
}
