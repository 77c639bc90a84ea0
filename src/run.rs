//! `cordboard serve` and `cordboard demo`.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use server::config::{Compiled, Origin, Override, Password, credential, load, render};
use server::run::{Ready, start};

/// Accounts whose demo passwords are told; a script-made thousand is not.
const ACCOUNTS_TOLD: usize = 12;

/// Runs a centre until it is told to stop.
pub fn serve(origin: Origin, overrides: Vec<Override>) -> anyhow::Result<ExitCode> {
    run(origin, overrides)
}

/// The demo centre, in a data directory that is gone afterwards unless one is given.
pub fn demo(data_dir: Option<PathBuf>, overrides: Vec<Override>) -> anyhow::Result<ExitCode> {
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
    run(Origin::Demo, all)
}

/// A directory that is removed when the demo is over.
struct ThrowAway(PathBuf);

impl ThrowAway {
    fn unless(given: Option<&Path>) -> anyhow::Result<Option<Self>> {
        if given.is_some() {
            return Ok(None);
        }
        let path = std::env::temp_dir().join(format!("cordboard-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
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

fn run(origin: Origin, overrides: Vec<Override>) -> anyhow::Result<ExitCode> {
    let loaded = load(&origin, &overrides);
    loaded
        .diagnostics
        .iter()
        .for_each(|diagnostic| eprintln!("{}", render(diagnostic, None)));
    let errors = loaded.errors();
    let Some(compiled) = loaded.compiled else {
        bail!(
            "the configuration has {errors} errors (`cordboard check` lists them); nothing was started"
        );
    };
    talk(&compiled)?;
    let told = compiled.clone();
    let running = start(compiled, origin, overrides)?;
    {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string(&running.ready)?)?;
        out.flush()?;
    }
    welcome(&told, &running.ready);
    let finished = running.until_stopped()?;
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
fn welcome(compiled: &Compiled, ready: &Ready) {
    let mut text = format!(
        "\nCordboard {} · node {} · data in {}\n\n",
        ready.version,
        ready.node,
        ready.data_dir.display()
    );
    text += &format!("SIP   udp/tcp {}\n", ready.sip_udp);
    text += &format!("HTTP  http://{}/\n\ndial\n", ready.http);
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
    for account in compiled.accounts.values().take(ACCOUNTS_TOLD) {
        let password = if account.password == Password::Demo {
            credential::demo_password(&account.id)
        } else {
            "its own password".to_owned()
        };
        text += &format!("  {:<8} {:<16} {}\n", account.id, password, account.name);
    }
    if compiled.accounts.len() > ACCOUNTS_TOLD {
        text += &format!("  … and {} more\n", compiled.accounts.len() - ACCOUNTS_TOLD);
    }
    text += "\npages and endpoints\n";
    for (path, what) in [
        ("/", "agent desk and wallboard"),
        ("/api/v1/openapi.json", "the API"),
        ("/api/v1/stream", "WebSocket: every event"),
        ("/metrics", "Prometheus"),
        ("/healthz, /readyz", "health"),
    ] {
        text += &format!("  http://{}{path:<24} {what}\n", ready.http);
    }
    eprintln!("{text}");
}
