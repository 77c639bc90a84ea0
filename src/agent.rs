//! `cordboard agent list | add | passwd`.
//!
//! Credentials live in agents.toml, as hashes: one place that can be read, reviewed and reloaded (SIGHUP), and that no running engine has locked.
//! `passwd` prints the lines to put there; `add` prints a whole agent, or appends it with `--write`.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use server::config::{Compiled, Origin, Password, credential};

use crate::ConfigArgs;
use crate::reach::compiled;

#[derive(Subcommand)]
pub enum Command {
    /// Who is in the configuration, and who can sign in.
    #[command(after_help = "Example:
  cordboard agent list --json | jq -r .id")]
    List {
        #[command(flatten)]
        config: ConfigArgs,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Print a new agent's lines for agents.toml; the password is read from stdin.
    #[command(after_help = "Example:
  printf '%s\\n' \"$PASSWORD\" | cordboard agent add 1005 --name 'Sun Li' --skill support=5 --write --config /etc/cordboard")]
    Add {
        /// SIP user, extension, and name at sign-in.
        id: String,
        /// As desks and wallboards show it.
        #[arg(long, default_value = "")]
        name: String,
        /// agent, supervisor, admin or service.
        #[arg(long, default_value = "agent", value_parser = ["agent", "supervisor", "admin", "service"])]
        role: String,
        /// SKILL=LEVEL, repeatable.
        #[arg(long, value_parser = skill)]
        skill: Vec<(String, u8)>,
        /// For metrics and reports [default: all].
        #[arg(long)]
        group: Option<String>,
        /// Append to agents.toml of the configuration instead of printing.
        #[arg(long)]
        write: bool,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Print the credential lines of a new password for agents.toml; the password is read from stdin.
    #[command(after_help = "Example:
  printf '%s\\n' \"$PASSWORD\" | cordboard agent passwd 1001 --config /etc/cordboard

Put the lines in the agent's table in agents.toml, then send SIGHUP to the engine.")]
    Passwd {
        /// Whose.
        id: String,
        #[command(flatten)]
        config: ConfigArgs,
    },
}

fn skill(text: &str) -> Result<(String, u8), String> {
    let wrong = || format!("`{text}` is not SKILL=LEVEL with a level of 1 to 10");
    let (name, level) = text.split_once('=').ok_or_else(wrong)?;
    let level = level
        .parse()
        .ok()
        .filter(|level| (1..=10).contains(level))
        .ok_or_else(wrong)?;
    Ok((name.to_owned(), level))
}

/// Runs the subcommand.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List { config, json } => list(config, json),
        Command::Add {
            id,
            name,
            role,
            skill,
            group,
            write,
            config,
        } => {
            let (origin, compiled) = configuration(config)?;
            if compiled.accounts.contains_key(id.as_str())
                || compiled.engine.routes.contains_key(id.as_str())
            {
                bail!("`{id}` is taken");
            }
            let text = block(
                &id,
                &name,
                &role,
                &skill,
                group.as_deref(),
                &lines(&id, &compiled)?,
            );
            if write {
                append(&origin, &text)
            } else {
                print(&text)
            }
        }
        Command::Passwd { id, config } => {
            let (_, compiled) = configuration(config)?;
            if !compiled.accounts.contains_key(id.as_str()) {
                bail!("there is no agent `{id}`; `cordboard agent add {id}` makes one");
            }
            print(&lines(&id, &compiled)?)
        }
    }
}

fn configuration(config: ConfigArgs) -> anyhow::Result<(Origin, Compiled)> {
    let (origin, overrides) = config.resolve();
    let compiled = compiled(&origin, &overrides)?;
    Ok((origin, compiled))
}

fn list(config: ConfigArgs, json: bool) -> anyhow::Result<ExitCode> {
    let (_, compiled) = configuration(config)?;
    let mut out = std::io::stdout().lock();
    for account in compiled.accounts.values() {
        let role = serde_json::to_value(account.role)?;
        let (phone, desk) = (
            compiled.engine.sip.users.contains_key(&account.id),
            account.password != Password::None,
        );
        let fixed = compiled
            .engine
            .agents
            .get(&account.id)
            .and_then(|agent| agent.contact.clone());
        if json {
            writeln!(
                out,
                "{}",
                serde_json::json!({"id": account.id, "name": account.name, "role": role, "group": account.group, "registers": phone, "signs_in": desk, "contact": fixed})
            )?;
        } else {
            let can = match (phone, desk) {
                (true, true) => "phone and desk",
                (true, false) => "phone",
                (false, true) => "desk",
                (false, false) => "no credentials",
            };
            let fixed = fixed
                .map(|contact| format!("  {contact}"))
                .unwrap_or_default();
            writeln!(
                out,
                "{:<12} {:<10} {:<10} {:<16} {}{fixed}",
                account.id,
                role.as_str().unwrap_or_default(),
                account.group,
                can,
                account.name
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn password() -> anyhow::Result<String> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        eprint!("password (it will be seen): ");
    }
    let mut line = String::new();
    stdin
        .lock()
        .read_line(&mut line)
        .context("no password on stdin")?;
    let password = line.trim_end_matches(['\r', '\n']).to_owned();
    if password.chars().count() < 8 {
        bail!("a password has 8 characters or more");
    }
    Ok(password)
}

fn lines(id: &str, compiled: &Compiled) -> anyhow::Result<String> {
    let hashes = credential::hash(id, &compiled.settings.realm, &password()?)?;
    Ok(format!(
        "password_argon2 = \"{}\"\nha1_md5 = \"{}\"\nha1_sha256 = \"{}\"\n",
        hashes.argon2, hashes.ha1_md5, hashes.ha1_sha256
    ))
}

fn block(
    id: &str,
    name: &str,
    role: &str,
    skills: &[(String, u8)],
    group: Option<&str>,
    credentials: &str,
) -> String {
    let quote = |text: &str| serde_json::Value::from(text).to_string();
    let mut text = format!(
        "[[agent]]\nid = {}\nname = {}\nrole = \"{role}\"\n",
        quote(id),
        quote(name)
    );
    if !skills.is_empty() {
        let skills: Vec<String> = skills
            .iter()
            .map(|(skill, level)| format!("{} = {level}", quote(skill)))
            .collect();
        text.push_str(&format!("skills = {{ {} }}\n", skills.join(", ")));
    }
    if let Some(group) = group {
        text.push_str(&format!("group = {}\n", quote(group)));
    }
    text + credentials
}

fn print(text: &str) -> anyhow::Result<ExitCode> {
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn append(origin: &Origin, text: &str) -> anyhow::Result<ExitCode> {
    let Origin::Dir(dir) = origin else {
        bail!("the demo centre is built in: give --config DIR")
    };
    let path = dir.join("agents.toml");
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        .with_context(|| path.display().to_string())?;
    file.write_all(format!("\n{text}").as_bytes())
        .with_context(|| path.display().to_string())?;
    eprintln!("appended to {}", path.display());
    Ok(ExitCode::SUCCESS)
}
