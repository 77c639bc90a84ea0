//! The configuration's people and label sets in the form that `web` and `metrics` want.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::{Compiled, Password, Role, credential};

/// Who may sign in, and what is shown of agents.
pub fn accounts(compiled: &Compiled) -> web::Accounts {
    let agents: std::collections::HashMap<&str, &acd::api::Agent> = compiled
        .engine
        .acd
        .agents
        .iter()
        .map(|agent| (&*agent.id, agent))
        .collect();
    web::Accounts::new(compiled.accounts.values().map(|account| {
        let agent = agents.get(&*account.id);
        web::Account {
            id: account.id.clone(),
            name: account.name.clone(),
            role: role(account.role),
            group: account.group.clone(),
            skills: agent.map(|agent| agent.skills.clone()).unwrap_or_default(),
            queues: agent
                .map(|agent| queues_of(compiled, agent))
                .unwrap_or_default(),
            password: match &account.password {
                Password::None => web::Password::None,
                Password::Argon2(hash) => web::Password::Argon2(hash.clone()),
                Password::Demo => {
                    web::Password::Demo(credential::demo_password(&account.id).into())
                }
            },
            takes_calls: agent.is_some(),
        }
    }))
}

fn role(role: Role) -> web::Role {
    match role {
        Role::Agent => web::Role::Agent,
        Role::Supervisor => web::Role::Supervisor,
        Role::Admin => web::Role::Admin,
        Role::Service => web::Role::Service,
    }
}

/// The queues whose required skills the agent has.
fn queues_of(compiled: &Compiled, agent: &acd::api::Agent) -> BTreeSet<Arc<str>> {
    let serves = |queue: &&acd::api::Queue| {
        queue
            .skills
            .iter()
            .all(|(skill, level)| agent.skills.get(skill).is_some_and(|has| has >= level))
    };
    compiled
        .engine
        .acd
        .queues
        .iter()
        .filter(serves)
        .map(|queue| queue.name.clone())
        .collect()
}

/// Label sets that exist from the start.
pub fn labels(compiled: &Compiled) -> metrics::Labels {
    metrics::Labels {
        queues: compiled.engine.queues.keys().cloned().collect(),
        agents: compiled
            .engine
            .acd
            .agents
            .iter()
            .map(|agent| (agent.id.clone(), agent.group.clone()))
            .collect(),
    }
}
