//! `cordboard customers import | export | show | pin | erase`: through the running engine, or in the files of a stopped one.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use crm::{Customer, Number};
use indicatif::{ProgressBar, ProgressStyle};
use store::{DataDir, Store};

use crate::reach::{Client, Reach, Reached, counted};

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
They go through the running engine of the data directory; when none runs, into its files. Exit status 1 when a line was left out.")]
    Import {
        /// CSV in UTF-8 with a header line.
        file: PathBuf,
        #[command(flatten)]
        at: Reach,
    },
    /// All customers as CSV on stdout.
    #[command(after_help = "Example:
  cordboard customers export > customers.csv")]
    Export {
        #[command(flatten)]
        at: Reach,
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
        at: Reach,
    },
    /// Give a customer the PIN on stdin, by which a caller proves to be them (flows: `authenticate`).
    #[command(after_help = "Examples:
  echo 4711 | cordboard customers pin C1001
  cordboard customers pin C1001 --remove

4 to 12 digits. Only a slow hash is kept; five wrong ones in a row, over all calls, lock for a quarter of an hour, and a new PIN ends that.")]
    Pin {
        /// The customer's id.
        id: String,
        /// Take the PIN away.
        #[arg(long)]
        remove: bool,
        #[command(flatten)]
        at: Reach,
    },
    /// Remove the customers on a phone number, and destroy the keys under which the log holds their calls.
    #[command(after_help = "Example:
  cordboard customers erase +8613800138000

The number and what was said are gone from events, contacts and copies of the log; the counts stay as they were.")]
    Erase {
        phone: String,
        #[command(flatten)]
        at: Reach,
    },
}

/// Runs the subcommand.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Import { file, at } => import(&Customers::at(at, true)?, &file),
        Command::Export { at } => export(&Customers::at(at, false)?),
        Command::Show { phone, json, at } => {
            show(&Customers::at(at, false)?.on(&phone)?, &phone, json)
        }
        Command::Pin { id, remove, at } => pin(&Customers::at(at, false)?, &id, remove),
        Command::Erase { phone, at } => erase(&Customers::at(at, false)?, &phone),
    }
}

/// The customers, wherever they are.
enum Customers {
    Here {
        store: Store,
        country: String,
    },
    /// In a running engine. It reads numbers in its own country's way; a file's are read in that of the configuration given.
    There(Client),
}

impl Customers {
    /// `may_make`: a data directory that is not there yet.
    fn at(reach: Reach, may_make: bool) -> anyhow::Result<Customers> {
        Ok(match reach.resolve()? {
            Reached::Engine(client) => Customers::There(client),
            Reached::Data { dir, .. } if !may_make && !dir.is_dir() => {
                bail!("{}: no engine runs, and there is no data", dir.display())
            }
            Reached::Data { dir, compiled } => Customers::Here {
                store: Store::open(&DataDir::open(&dir)?)?,
                country: compiled.settings.country.to_string(),
            },
        })
    }

    /// The country of numbers without a prefix.
    fn country(&self) -> anyhow::Result<String> {
        match self {
            Customers::Here { country, .. } => Ok(country.clone()),
            Customers::There(client) => {
                let effective = client.get("/api/v1/config/effective", &[])?;
                let country = effective["cordboard"]["locale"]["country"].as_str();
                Ok(country
                    .context("the engine does not say its country")?
                    .to_owned())
            }
        }
    }

    fn put(&self, batch: &[Customer]) -> anyhow::Result<()> {
        match self {
            Customers::Here { store, .. } => store.put_customers(batch)?,
            Customers::There(client) => {
                for part in batch.chunks(server::CUSTOMERS_MAX) {
                    client.put("/api/v1/customers", &serde_json::json!({ "items": part }))?;
                }
            }
        }
        Ok(())
    }

    fn on(&self, phone: &str) -> anyhow::Result<Vec<Customer>> {
        Ok(match self {
            Customers::Here { store, country } => {
                store.customers_by_phone(&Number::parse(phone, country))?
            }
            Customers::There(client) => {
                let page = client.get("/api/v1/customers", &[("phone", phone.to_owned())])?;
                serde_json::from_value(page["items"].clone())?
            }
        })
    }

    /// A page, and where the next begins.
    fn page(&self, cursor: Option<&str>) -> anyhow::Result<(Vec<Customer>, Option<String>)> {
        match self {
            Customers::Here { store, .. } => {
                let page = store.list_customers(cursor, PAGE)?;
                Ok((page.items, page.next))
            }
            Customers::There(client) => {
                let mut query = vec![("limit", PAGE.to_string())];
                query.extend(cursor.map(|cursor| ("cursor", cursor.to_owned())));
                let page = client.get("/api/v1/customers", &query)?;
                let next = page["next"].as_str().map(str::to_owned);
                Ok((serde_json::from_value(page["items"].clone())?, next))
            }
        }
    }

    /// How many customers and how many keys are gone.
    fn erase(&self, phone: &str) -> anyhow::Result<(u64, u64)> {
        Ok(match self {
            Customers::Here { store, country } => {
                let (customers, keys) = store.erase_number(&Number::parse(phone, country))?;
                (customers as u64, keys as u64)
            }
            Customers::There(client) => {
                let gone = client.delete("/api/v1/customers", &[("phone", phone.to_owned())])?;
                let number = |name: &str| gone[name].as_u64().unwrap_or(0);
                (number("customers"), number("keys"))
            }
        })
    }
}

fn import(customers: &Customers, path: &Path) -> anyhow::Result<ExitCode> {
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
    let mut rows = crm::read_customers(BufReader::new(file), &customers.country()?);
    let (mut taken, mut faults) = (0usize, 0usize);
    let mut batch = Vec::with_capacity(BATCH);
    let mut over = false;
    while !over {
        match rows.next() {
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
            customers
                .put(&batch)
                .with_context(|| format!("after {}", counted(taken, "customer")))?;
            taken += batch.len();
            batch.clear();
            bar.set_position(rows.bytes_read());
        }
    }
    bar.finish_and_clear();
    if faults > FAULTS_TOLD {
        eprintln!("… and {} more faults", faults - FAULTS_TOLD);
    }
    eprintln!(
        "{} taken, {}",
        counted(taken, "customer"),
        counted(faults, "fault")
    );
    Ok(if faults == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Two passes: the columns are known when every customer has been seen.
fn export(customers: &Customers) -> anyhow::Result<ExitCode> {
    let mut attributes = BTreeSet::new();
    let mut cursor = None;
    loop {
        let (items, next) = customers.page(cursor.as_deref())?;
        attributes.extend(
            items
                .into_iter()
                .flat_map(|customer| customer.attributes.into_keys()),
        );
        if next.is_none() {
            break;
        }
        cursor = next;
    }
    let mut cursor = Some(None::<String>);
    let mut failed = None;
    let pages = std::iter::from_fn(|| {
        let page = customers.page(cursor.take()?.as_deref());
        let (items, next) = page.map_err(|error| failed = Some(error)).ok()?;
        cursor = next.map(Some);
        Some(items)
    });
    let written = crm::write_customers(
        BufWriter::new(io::stdout().lock()),
        &attributes,
        pages.flatten(),
    )?;
    if let Some(error) = failed {
        return Err(error);
    }
    eprintln!("{} written", counted(written as usize, "customer"));
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

fn pin(customers: &Customers, id: &str, remove: bool) -> anyhow::Result<ExitCode> {
    let mut pin = String::new();
    if !remove {
        io::stdin().read_line(&mut pin).context("stdin")?;
    }
    let pin = (!remove).then(|| pin.trim());
    match customers {
        Customers::Here { store, .. } => {
            store
                .customer(id)?
                .with_context(|| format!("there is no customer {id}"))?;
            let mut salt = [0; 16];
            getrandom::fill(&mut salt).map_err(|error| anyhow::anyhow!("{error}"))?;
            let hash = pin
                .map(|pin| crm::pin::hash(pin, &salt).context("a PIN is 4 to 12 digits, on stdin"));
            store.set_pin(id, hash.transpose()?.as_deref())?;
        }
        Customers::There(client) => {
            let path = format!("/api/v1/customers/{id}/pin");
            client.put(&path, &serde_json::json!({ "pin": pin }))?;
        }
    }
    eprintln!("{id} has {} PIN", if remove { "no" } else { "a new" });
    Ok(ExitCode::SUCCESS)
}

fn erase(customers: &Customers, phone: &str) -> anyhow::Result<ExitCode> {
    let (gone, keys) = customers.erase(phone)?;
    if gone == 0 && keys == 0 {
        bail!("nothing is kept of {phone}");
    }
    eprintln!(
        "{} removed, {} destroyed",
        counted(gone as usize, "customer"),
        counted(keys as usize, "key")
    );
    Ok(ExitCode::SUCCESS)
}
