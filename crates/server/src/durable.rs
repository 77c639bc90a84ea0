//! What outlives the process: opened, brought up to date, and begun with the first customers.

use std::io::BufReader;

use anyhow::Context as _;
use store::{DataDir, Log, Snapshots, Store};

use crate::config::{Compiled, Import};
use crate::publish;
use crate::recovery::Recovery;

/// Sample customers of the demo, in the binary.
const DEMO_CUSTOMERS: &str = include_str!("../../../config/demo-customers.csv");
/// Customers by one transaction.
const IMPORT_BATCH: usize = 5_000;

/// The opened data directory.
pub struct Durable {
    pub store: Store,
    pub log: Log,
    pub opened: store::Opened,
    pub snapshots: Snapshots,
    pub board: web::Board,
    pub fold: metrics::Fold,
    pub recovery: Recovery,
}

/// Opens the data directory, or makes one.
///
/// # Errors
/// When somebody else has it, or something in it is damaged.
pub fn open(compiled: &Compiled) -> anyhow::Result<Durable> {
    let settings = &compiled.settings;
    let dir = DataDir::open(&settings.data_dir)?;
    let store = Store::open(&dir)?;
    let (log, opened) = Log::open(&dir, store::Options::new(&*settings.node))?;
    let snapshots = Snapshots::open(&dir)?;
    let (board, fold, recovery) = publish::restore(
        &settings.node,
        &snapshots,
        &log.reader(&store),
        &store,
        &settings.time_zone,
    )?;
    if let Some(import) = &settings.first_import
        && store.customers_count()? == 0
    {
        first_import(&store, import, &settings.country)?;
    }
    crm::warm_up();
    Ok(Durable {
        store,
        log,
        opened,
        snapshots,
        board,
        fold,
        recovery,
    })
}

fn first_import(store: &Store, import: &Import, country: &str) -> anyhow::Result<()> {
    let customers: Vec<_> = match import {
        Import::Demo => crm::read_customers(DEMO_CUSTOMERS.as_bytes(), country).collect(),
        Import::File(path) => {
            let file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
            crm::read_customers(BufReader::new(file), country).collect()
        }
    };
    let mut good = Vec::with_capacity(customers.len());
    for customer in customers {
        match customer {
            Ok(customer) => good.push(customer),
            // Where it is, not what: the message quotes the number.
            Err(error) => tracing::warn!(
                line = error.line,
                field = %error.field,
                "a customer of the first import was left out"
            ),
        }
    }
    for batch in good.chunks(IMPORT_BATCH) {
        store.put_customers(batch)?;
    }
    tracing::info!(customers = good.len(), "first import");
    Ok(())
}
