//! `cordboard customers import | export | show | erase`: the store, while the engine is stopped.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use crm::{Customer, Number};
use indicatif::{ProgressBar, ProgressStyle};
use server::config::{load, render};
use store::{DataDir, Store};

use crate::ConfigArgs;

/// Customers by one transaction: each costs one sync.
const BATCH: usize = 5_000;
/// Faults of a file that are told one by one.
const FAULTS_TOLD: usize = 20;
/// Customers by one page of an export.
const PAGE: usize = 500;

#[derive(Subcommand)]
pub enum Command {
    /// Add or replace customers from a CSV file; lines that are wrong are told and left out.
    #[command(after_help = "Example:
  cordboard customers import customers.csv --data-dir /var/lib/cordboard

Columns: id, name, class, phones (several with `;`), language, tags (with `;`), notes; others become attributes.
The engine must be stopped; a running one takes customers over /api/v1/customers. Exit status 1 when a line was left out.")]
    Import {
        file: PathBuf,
        #[command(flatten)]
        at: At,
    },
    /// All customers as CSV on stdout.
    Export {
        #[command(flatten)]
        at: At,
    },
    /// The customers on a phone number.
    #[command(after_help = "Example:
  cordboard customers show +8613800138000 --json")]
    Show {
        phone: String,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: At,
    },
    /// Remove the customers on a phone number, and destroy the keys under which the log holds their calls.
    Erase {
        phone: String,
        #[command(flatten)]
        at: At,
    },
}

/// Which store.
#[derive(clap::Args)]
pub struct At {
    /// The data directory, instead of the configuration's.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArgs,
}

impl At {
    fn open(self) -> anyhow::Result<(Store, String)> {
        let (origin, overrides) = self.config.resolve();
        let loaded = load(&origin, &overrides);
        let Some(compiled) = loaded.compiled else {
            loaded
                .diagnostics
                .iter()
                .for_each(|diagnostic| eprintln!("{}", render(diagnostic, None)));
            bail!("the configuration is wrong");
        };
        let path = self.data_dir.unwrap_or(compiled.settings.data_dir);
        let dir = DataDir::open(&path).with_context(|| {
            format!(
                "{}: a running engine takes customers over /api/v1/customers",
                path.display()
            )
        })?;
        Ok((Store::open(&dir)?, compiled.settings.country.to_string()))
    }
}

/// Runs the subcommand.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Import { file, at } => {
            let (store, country) = at.open()?;
            import(&store, &file, &country)
        }
        Command::Export { at } => export(&at.open()?.0),
        Command::Show { phone, json, at } => {
            let (store, country) = at.open()?;
            show(
                &store.customers_by_phone(&Number::parse(&phone, &country))?,
                &phone,
                json,
            )
        }
        Command::Erase { phone, at } => {
            let (store, country) = at.open()?;
            erase(&store, &Number::parse(&phone, &country))
        }
    }
}

fn import(store: &Store, path: &Path, country: &str) -> anyhow::Result<ExitCode> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let bar = if io::stderr().is_terminal() {
        ProgressBar::new(file.metadata().map_or(0, |metadata| metadata.len()))
    } else {
        ProgressBar::hidden()
    };
    bar.set_style(
        ProgressStyle::with_template("{bar:40} {percent}% {bytes}/{total_bytes} {eta}")
            .expect("a constant template"),
    );
    let mut customers = crm::read_customers(BufReader::new(file), country);
    let (mut taken, mut faults) = (0usize, 0usize);
    let mut batch = Vec::with_capacity(BATCH);
    let mut over = false;
    while !over {
        match customers.next() {
            Some(Ok(customer)) => batch.push(customer),
            Some(Err(error)) => {
                faults += 1;
                if faults <= FAULTS_TOLD {
                    bar.suspend(|| eprintln!("{}: {error}", path.display()));
                }
            }
            None => over = true,
        }
        if batch.len() == BATCH || (over && !batch.is_empty()) {
            store.put_customers(&batch)?;
            taken += batch.len();
            batch.clear();
            bar.set_position(customers.bytes_read());
        }
    }
    bar.finish_and_clear();
    if faults > FAULTS_TOLD {
        eprintln!("… and {} more faults", faults - FAULTS_TOLD);
    }
    eprintln!("{taken} customers taken, {faults} faults");
    Ok(if faults == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// All customers, page by page.
fn all(store: &Store, mut each: impl FnMut(Customer)) -> anyhow::Result<()> {
    let mut cursor: Option<String> = None;
    loop {
        let page = store.list_customers(cursor.as_deref(), PAGE)?;
        page.items.into_iter().for_each(&mut each);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(()),
        }
    }
}

fn export(store: &Store) -> anyhow::Result<ExitCode> {
    let mut attributes = BTreeSet::new();
    all(store, |customer| {
        attributes.extend(customer.attributes.into_keys())
    })?;
    let mut cursor = Some(None::<String>);
    let mut failed = None;
    let pages = std::iter::from_fn(|| {
        let page = store
            .list_customers(cursor.take()?.as_deref(), PAGE)
            .map_err(|error| failed = Some(error))
            .ok()?;
        cursor = page.next.map(Some);
        Some(page.items)
    });
    let written = crm::write_customers(
        BufWriter::new(io::stdout().lock()),
        &attributes,
        pages.flatten(),
    )?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    eprintln!("{written} customers");
    Ok(ExitCode::SUCCESS)
}

fn show(customers: &[Customer], phone: &str, json: bool) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    for customer in customers {
        if json {
            writeln!(out, "{}", serde_json::to_string(customer)?)?;
            continue;
        }
        writeln!(
            out,
            "{}  {}  class {}  {}",
            customer.id.0,
            customer.name,
            or_dash(&customer.class),
            or_dash(&customer.language)
        )?;
        writeln!(out, "  phones      {}", customer.phones.join(", "))?;
        writeln!(out, "  tags        {}", or_dash(&customer.tags.join(", ")))?;
        writeln!(out, "  notes       {}", or_dash(&customer.notes))?;
        for (name, value) in &customer.attributes {
            writeln!(out, "  {name:<11} {value}")?;
        }
    }
    if customers.is_empty() {
        eprintln!("nobody is on {phone}");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

fn erase(store: &Store, number: &Number) -> anyhow::Result<ExitCode> {
    let customers = store.customers_by_phone(number)?;
    let mut keys = 0;
    for customer in &customers {
        keys += store.erase_customer(&customer.id.0)?.keys_destroyed;
    }
    // A number of nobody may have called too.
    keys += usize::from(store.erase_person(&format!("tel:{}", number.key()))?);
    eprintln!(
        "{} customers removed, {keys} keys destroyed",
        customers.len()
    );
    Ok(if customers.is_empty() && keys == 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
