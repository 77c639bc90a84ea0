//! `cordboard serve` and `cordboard demo`.

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use server::config::{Compiled, Origin, Override, Password, credential, load, render};
use server::control::DEMO_PREFIX;
use server::run::{Ready, start};

use crate::reach::counted;
use crate::traffic::pace::Pace;
use crate::traffic::{Centre, Traffic};

/// Accounts whose demo passwords are told; a script-made thousand is not.
const ACCOUNTS_TOLD: usize = 12;

/// Runs a centre until it is told to stop.
pub fn serve(origin: Origin, overrides: Vec<Override>) -> anyhow::Result<ExitCode> {
    run(origin, overrides, None)
}

/// Simulated callers and agents beside the demo centre.
#[derive(Clone, Copy, Debug)]
pub struct Simulated {
    pub pace: Pace,
    pub seed: u64,
}

/// The demo centre, in a data directory that is gone afterwards unless one is given.
pub fn demo(
    data_dir: Option<PathBuf>,
    simulated: Option<Simulated>,
    overrides: Vec<Override>,
) -> anyhow::Result<ExitCode> {
    let throw_away = ThrowAway::unless(data_dir.as_deref())?;
    let path = throw_away
        .as_ref()
        .map(|dir| dir.0.clone())
        .or(data_dir)
        .unwrap_or_default();
    let mut all = overrides;
    all.push(Override {
        label: "--data-dir".to_owned(),
        path: vec!["data_dir".to_owned()],
        value: path.display().to_string(),
    });
    let origin = match &simulated {
        Some(simulated) => Origin::DemoWith {
            agents: simulated.pace.agents_toml(),
        },
        None => Origin::Demo,
    };
    run(origin, all, simulated)
}

/// A directory that is removed when the demo is over.
struct ThrowAway(PathBuf);

impl ThrowAway {
    fn unless(given: Option<&Path>) -> anyhow::Result<Option<Self>> {
        if given.is_some() {
            return Ok(None);
        }
        let path = std::env::temp_dir().join(format!("{DEMO_PREFIX}{}", std::process::id()));
        // Not one that somebody else has put there.
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| path.display().to_string())?;
        Ok(Some(ThrowAway(path)))
    }
}

impl Drop for ThrowAway {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("cordboard: {} stays behind: {error}", self.0.display());
        }
    }
}

fn run(
    origin: Origin,
    overrides: Vec<Override>,
    simulated: Option<Simulated>,
) -> anyhow::Result<ExitCode> {
    let loaded = load(&origin, &overrides);
    loaded
        .diagnostics
        .iter()
        .for_each(|diagnostic| eprintln!("{}", render(diagnostic, None)));
    let errors = loaded.errors();
    let Some(compiled) = loaded.compiled else {
        bail!(
            "the configuration has {} (`cordboard check` lists them); nothing was started",
            counted(errors, "error")
        );
    };
    talk(&compiled)?;
    let told = compiled.clone();
    let mut running = start(compiled, origin, overrides)?;
    {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string(&running.ready)?)?;
        out.flush()?;
    }
    welcome(&told, &running.ready, simulated.as_ref());
    let centre = Centre {
        sip: running.ready.sip_udp,
        http: running.ready.http,
    };
    let traffic = simulated
        .map(|simulated| Traffic::start(centre, simulated.pace, simulated.seed))
        .transpose()?;
    running.until_told()?;
    // Hanging up is part of the show: it comes before the centre takes no new calls.
    if let Some(traffic) = traffic {
        eprintln!("traffic: {}", traffic.stop());
    }
    let finished = running.finish()?;
    eprintln!(
        "{}",
        if finished {
            "stopped: every call has ended, the log is complete"
        } else {
            "stopped: some calls were ended, the log is complete"
        }
    );
    Ok(ExitCode::SUCCESS)
}

/// Logs go to stderr; RUST_LOG overrides the configuration.
fn talk(compiled: &Compiled) -> anyhow::Result<()> {
    use tracing_subscriber::EnvFilter;
    let given = std::env::var("RUST_LOG").unwrap_or_else(|_| compiled.settings.log_level.clone());
    let filter = EnvFilter::try_new(&given)
        .map_err(|error| anyhow::anyhow!("log.level \"{given}\": {error}"))?;
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour);
    let done = if compiled.settings.log_json {
        subscriber.json().try_init()
    } else {
        subscriber.try_init()
    };
    done.map_err(|error| anyhow::anyhow!("{error}"))
}

/// What to dial, who signs in, which pages there are.
fn welcome(compiled: &Compiled, ready: &Ready, simulated: Option<&Simulated>) {
    let mut text = format!(
        "\nCordboard {} · node {} · data in {}\n\n",
        ready.version,
        ready.node,
        ready.data_dir.display()
    );
    text += &format!("SIP   udp/tcp {}\n", ready.sip_udp);
    let scheme = if ready.https { "https" } else { "http" };
    text += &format!("HTTP  {scheme}://{}/\n\ndial\n", ready.http);
    for (number, route) in &compiled.engine.routes {
        let what = match route {
            engine::Route::Flow(flow) => format!("the flow {flow}"),
            engine::Route::Queue(queue) => format!("queue {queue}"),
            engine::Route::Echo => "echo test".to_owned(),
            engine::Route::Tone { hertz } => format!("{hertz} Hz tone, until hang-up"),
            engine::Route::Agent(_) => continue,
        };
        text += &format!("  sip:{number}@{:<22} {what}\n", ready.sip_udp);
    }
    let agents = compiled.engine.agents.len();
    text += &format!("  and the extensions of {agents} agents\n\nsign in (phone and desk)\n");
    let simulated_ids: BTreeSet<String> = simulated
        .iter()
        .flat_map(|simulated| simulated.pace.extensions())
        .collect();
    let people = || {
        let accounts = compiled.accounts.values();
        accounts.filter(|account| !simulated_ids.contains(&*account.id))
    };
    for account in people().take(ACCOUNTS_TOLD) {
        let password = if account.password == Password::Demo {
            credential::demo_password(&account.id)
        } else {
            "its own password".to_owned()
        };
        text += &format!("  {:<8} {:<16} {}\n", account.id, password, account.name);
    }
    if people().count() > ACCOUNTS_TOLD {
        text += &format!("  … and {} more\n", people().count() - ACCOUNTS_TOLD);
    }
    if let (Some(simulated), Some(first), Some(last)) =
        (simulated, simulated_ids.first(), simulated_ids.last())
    {
        text += &format!(
            "\ntraffic\n  {} simulated calls a minute, agents {first} to {last} take them; the agents above stay yours (--seed {} repeats the callers)\n",
            simulated.pace.calls_per_minute(),
            simulated.seed
        );
    }
    text += "\npages and endpoints\n";
    for (path, what) in [
        ("/", "agent desk and wallboard"),
        ("/api/v1/openapi.json", "the API"),
        ("/api/v1/stream", "WebSocket: every event"),
        ("/metrics", "Prometheus"),
        ("/healthz, /readyz", "health"),
    ] {
        text += &format!("  {scheme}://{}{path:<24} {what}\n", ready.http);
    }
    eprintln!("{text}");
}
