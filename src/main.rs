//! The command line. It wires nothing but `server::run`: each subcommand is a file of its own.
//!
//! Data goes to stdout, talk to stderr. Exit status 0: done; 1: the work failed; 2: wrong usage.

mod agent;
mod ask;
mod check;
mod customers;
mod flow;
mod ladder;
mod reach;
mod run;
mod simulate;
mod traffic;
mod why;

use std::hash::{BuildHasher as _, RandomState};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use server::config::{Origin, Override};
use traffic::pace::{CALLS_PER_MINUTE_MAX, Pace};

/// A call-centre CTI engine: SIP, IVR, skill-based routing, screen pop, and numbers that add up.
#[derive(Parser)]
#[command(
    name = "cordboard",
    version,
    about,
    arg_required_else_help = true,
    after_help = "Examples:
  cordboard demo                              the demo centre on loopback; prints what to dial
  cordboard serve --config /etc/cordboard     run a centre
  cordboard check --config /etc/cordboard     every error of its files, with file:line:column
  cordboard serve --set sip.port=15060        a setting over the files (CORDBOARD__SIP__PORT=15060 does the same)"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the engine.
    #[command(after_help = "Examples:
  cordboard serve                             config/ and ivr-scripts/ here
  cordboard serve --config /etc/cordboard --set http.port=0

When everything listens, one line of JSON goes to stdout. SIGTERM drains: no new calls, those in progress finish
(at most limits.drain), exit 0; a second one ends at once. SIGHUP applies a changed configuration.")]
    Serve {
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// The demo centre on loopback in a throw-away data directory.
    #[command(after_help = "Examples:
  cordboard demo
  cordboard demo --traffic 30                 and look at http://127.0.0.1:8080/wallboard
  cordboard demo --data-dir /tmp/demo --set sip.port=15060 --set http.port=18080

With --traffic, simulated callers (sample customers and strangers) dial 1000, 2000 and 2001 over SIP and RTP on
loopback, and simulated agents of their own (1101 and on) register and take the calls; 1001 to 1004 stay yours.")]
    Demo {
        /// Simulated calls a minute, with agents who take them [1..=600].
        #[arg(long, value_name = "CALLS_PER_MINUTE", value_parser = clap::value_parser!(u32).range(1..=i64::from(CALLS_PER_MINUTE_MAX)))]
        traffic: Option<u32>,
        /// The same callers as another run with this seed.
        #[arg(long, value_name = "N", requires = "traffic")]
        seed: Option<u64>,
        /// Keep the data here instead of in a throw-away directory.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        #[command(flatten)]
        over: OverrideArgs,
    },
    /// Every error of a configuration and its flows, with place and hint.
    #[command(after_help = "Examples:
  cordboard check
  cordboard check --config /etc/cordboard --json

Exit status 1 when there is an error; warnings alone are 0.")]
    Check {
        #[command(flatten)]
        config: ConfigArgs,
        /// One JSON object a line instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Flows and their tests.
    #[command(after_help = "Example:
  cordboard flow test ivr-scripts/main.test.toml")]
    Flow {
        #[command(subcommand)]
        command: flow::Command,
    },
    /// The customer store, of a running engine or of a stopped one.
    #[command(after_help = "Examples:
  cordboard customers import customers.csv
  cordboard customers show +8613800138000 --json
  cordboard customers export > customers.csv")]
    Customers {
        #[command(subcommand)]
        command: customers::Command,
    },
    /// One contact: what it was, its SIP ladder, why it went where it went.
    #[command(after_help = "Examples:
  cordboard contact cb1-1-7                   of the engine that has the data directory, or of the demo that runs
  cordboard contact cb1-1-7 --ladder
  CORDBOARD_PASSWORD=… cordboard contact cb1-1-7 --why --url http://cb.example:8080 --user 1900")]
    Contact {
        id: String,
        #[command(flatten)]
        view: ask::View,
        #[command(flatten)]
        reach: reach::Reach,
    },
    /// Numbers of a centre.
    #[command(after_help = "Example:
  cordboard report kpi --by queue --format csv")]
    Report {
        #[command(subcommand)]
        report: ask::Report,
    },
    /// A day through the distributor in virtual time: what another staff, rule or skill would give.
    #[command(after_help = "Examples:
  cordboard simulate --config config --forecast config/demo-forecast.csv
  cordboard simulate --config config --forecast config/demo-forecast.csv --vs /tmp/other --seed 7
  cordboard simulate --config config --forecast config/demo-forecast.csv --staff 80/20
  cordboard simulate --config config --log events.ndjson --json

`staff` of a forecast is how many of the agents who have a queue's skills are there for it, counted once each; where the
configuration has fewer, others with just these skills are added. ± is half of a 95 % confidence interval over the runs.")]
    Simulate(simulate::Simulate),
    /// Agents and their credentials.
    #[command(after_help = "Examples:
  cordboard agent list --config /etc/cordboard
  printf '%s\\n' \"$PASSWORD\" | cordboard agent passwd 1001 --config /etc/cordboard")]
    Agent {
        #[command(subcommand)]
        command: agent::Command,
    },
}

/// Which configuration.
#[derive(Args)]
pub struct ConfigArgs {
    /// Directory of cordboard.toml, queues.toml, agents.toml, trunks.toml [default: config/, else the demo centre].
    #[arg(long, value_name = "DIR")]
    config: Option<PathBuf>,
    #[command(flatten)]
    over: OverrideArgs,
}

/// Settings over the files.
#[derive(Args)]
pub struct OverrideArgs {
    /// Put a setting over the files; repeatable, e.g. sip.port=15060 or queue.support.ring=5s.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = Override::parse)]
    set: Vec<Override>,
}

impl OverrideArgs {
    /// Those of the environment first, so that the command line has the last word.
    fn all(self) -> Vec<Override> {
        let mut overrides = Override::from_environment(std::env::vars());
        overrides.extend(self.set);
        overrides
    }
}

impl ConfigArgs {
    /// Neither a directory nor a setting is named.
    fn says_nothing(&self) -> bool {
        self.config.is_none() && self.over.set.is_empty()
    }

    fn resolve(self) -> (Origin, Vec<Override>) {
        (Origin::given_or_default(self.config), self.over.all())
    }
}

/// Without a seed each run has other callers; the welcome names it.
fn simulated(traffic: Option<u32>, seed: Option<u64>) -> Option<run::Simulated> {
    let pace = Pace::of(traffic?);
    let seed =
        seed.unwrap_or_else(|| RandomState::new().hash_one(pace.calls_per_minute()) % 1_000_000);
    Some(run::Simulated { pace, seed })
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve { config } => {
            let (origin, overrides) = config.resolve();
            run::serve(origin, overrides)
        }
        Command::Demo {
            traffic,
            seed,
            data_dir,
            over,
        } => run::demo(data_dir, simulated(traffic, seed), over.all()),
        Command::Check { config, json } => {
            let (origin, overrides) = config.resolve();
            check::run(&origin, &overrides, json)
        }
        Command::Flow { command } => flow::run(command),
        Command::Customers { command } => customers::run(command),
        Command::Contact { id, view, reach } => ask::contact(&id, &view, reach),
        Command::Report { report } => ask::report(report),
        Command::Simulate(wanted) => simulate::run(&wanted),
        Command::Agent { command } => agent::run(command),
    };
    outcome.unwrap_or_else(|error| {
        let io = |cause: &(dyn std::error::Error + 'static)| {
            let io = cause.downcast_ref::<std::io::Error>();
            io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
        };
        if error.chain().any(io) {
            return ExitCode::SUCCESS; // whoever read has enough: `… | head`
        }
        eprintln!("cordboard: {error:#}");
        ExitCode::FAILURE
    })
}
