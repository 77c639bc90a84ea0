//! `cordboard contact ID --why`: the distributor's decisions in plain words, in Chinese or English.

use serde_json::Value;

/// The language of the talk: Chinese where the locale of the environment says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tongue {
    Chinese,
    English,
}

impl Tongue {
    /// By `LC_ALL`, `LC_MESSAGES`, `LANG`, the first that is set.
    pub fn of_environment() -> Self {
        let set = ["LC_ALL", "LC_MESSAGES", "LANG"]
            .iter()
            .filter_map(|name| std::env::var(name).ok())
            .find(|value| !value.is_empty());
        Tongue::of(set.as_deref().unwrap_or_default())
    }

    fn of(locale: &str) -> Self {
        if locale.starts_with("zh") {
            Tongue::Chinese
        } else {
            Tongue::English
        }
    }

    fn pick<'a>(self, chinese: &'a str, english: &'a str) -> &'a str {
        match self {
            Tongue::Chinese => chinese,
            Tongue::English => english,
        }
    }
}

/// The answer of `contacts/{id}/why` in sentences.
pub fn told(why: &Value, tongue: Tongue) -> String {
    let mut lines = Vec::new();
    for decision in why["decisions"].as_array().into_iter().flatten() {
        lines.extend(decision_told(decision, tongue));
    }
    if why["waiting"].is_object() {
        lines.extend(waiting_told(&why["waiting"], tongue));
    }
    if lines.is_empty() {
        let nothing = tongue.pick(
            "没有保存该联络的路由决定：它从未被分配，或时间太久。",
            "No decision is remembered: the contact was never offered, or too long ago.",
        );
        lines.push(nothing.to_owned());
    }
    lines.join("\n") + "\n"
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn decision_told(decision: &Value, tongue: Tongue) -> Vec<String> {
    let (at, queue, chosen) = (
        text(decision, "at"),
        text(decision, "queue"),
        text(decision, "chosen"),
    );
    let mut lines = vec![match tongue {
        Tongue::Chinese => format!(
            "{at} 队列 {queue}：分配给坐席 {chosen}{}",
            score(decision, chosen, tongue)
        ),
        Tongue::English => format!(
            "{at} queue {queue}: offered to agent {chosen}{}",
            score(decision, chosen, tongue)
        ),
    }];
    if let Some(second) = decision["runner_up"].as_str() {
        lines.push(match tongue {
            Tongue::Chinese => format!("  其次是坐席 {second}{}", score(decision, second, tongue)),
            Tongue::English => format!(
                "  next best: agent {second}{}",
                score(decision, second, tongue)
            ),
        });
    }
    lines.extend(step_told(decision, tongue));
    lines.extend(excluded_told(decision, tongue));
    let overtaken = names(&decision["overtaken"]);
    if !overtaken.is_empty() {
        lines.push(match tongue {
            Tongue::Chinese => format!("  越过了等待更久、但该坐席不能接待的：{overtaken}"),
            Tongue::English => {
                format!("  passed over, since this agent cannot have them: {overtaken}")
            }
        });
    }
    lines.extend(overtaken_by_told(decision, tongue));
    lines
}

/// Why somebody is where they are among the candidates.
fn score(decision: &Value, agent: &str, tongue: Tongue) -> String {
    let candidates = decision["candidates"].as_array();
    let candidate = candidates.and_then(|all| all.iter().find(|one| text(one, "agent") == agent));
    let Some(terms) = candidate.and_then(|one| one["terms"].as_object()) else {
        return String::new();
    };
    let told: Vec<String> = terms
        .iter()
        .filter_map(|(term, value)| term_told(term, value.as_f64()?, tongue))
        .collect();
    match tongue {
        _ if told.is_empty() => String::new(),
        Tongue::Chinese => format!("（{}）", told.join("，")),
        Tongue::English => format!(" ({})", told.join(", ")),
    }
}

fn term_told(term: &str, value: f64, tongue: Tongue) -> Option<String> {
    Some(match (term, tongue) {
        ("idle_s", Tongue::Chinese) => format!("空闲 {value:.0} 秒"),
        ("idle_s", Tongue::English) => format!("idle for {value:.0} s"),
        ("worked_s", Tongue::Chinese) => format!("今天工作 {value:.0} 秒"),
        ("worked_s", Tongue::English) => format!("{value:.0} s of work today"),
        ("levels", Tongue::Chinese) => format!("技能等级合计 {value:.0}"),
        ("levels", Tongue::English) => format!("levels add up to {value:.0}"),
        ("wanted", _) if value > 0.0 => tongue
            .pick("指定的坐席", "the agent who is wanted")
            .to_owned(),
        ("preferred", _) if value > 0.0 => tongue
            .pick("具备优先技能", "has the preferred skills")
            .to_owned(),
        _ => return None,
    })
}

fn step_told(value: &Value, tongue: Tongue) -> Option<String> {
    let step = value["step"].as_u64().filter(|step| *step > 0)?;
    Some(match tongue {
        Tongue::Chinese => format!("  技能要求已放宽到第 {step} 步"),
        Tongue::English => format!("  requirements relaxed to step {step}"),
    })
}

fn names(list: &Value) -> String {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Value::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

fn excluded_told(value: &Value, tongue: Tongue) -> Vec<String> {
    let excluded = value["excluded"].as_array().into_iter().flatten();
    excluded
        .map(|one| {
            let (reason, count, examples) = (
                reason_told(text(one, "reason"), tongue),
                &one["count"],
                names(&one["examples"]),
            );
            match tongue {
                Tongue::Chinese => format!("  {count} 名坐席未入选：{reason}（如 {examples}）"),
                Tongue::English => format!("  {count} not considered: {reason} (e.g. {examples})"),
            }
        })
        .collect()
}

fn reason_told(reason: &str, tongue: Tongue) -> &str {
    match reason {
        "skill" => tongue.pick("缺少技能", "a skill is missing"),
        "level" => tongue.pick("技能等级不够", "a level is too low"),
        "back_off" => tongue.pick(
            "刚刚没有接成，暂不再分配",
            "kept apart for a moment after an offer that failed",
        ),
        "wanted" => tongue.pick("在等指定的坐席", "waited for the agent whom it wants"),
        "priority" => tongue.pick("优先级较低", "the other had priority"),
        "logged_out" => tongue.pick("未签入", "signed out"),
        "not_ready" => tongue.pick("示忙", "on a break"),
        "unreachable" => tongue.pick("话机不可达", "no telephone can be reached"),
        "resting" => tongue.pick("连续忙线，暂停分配", "at rest after busy or failed offers"),
        "reserved" => tongue.pick("正在振铃", "ringing"),
        "connected" => tongue.pick("通话中", "in a conversation"),
        "wrap_up" => tongue.pick("话后处理", "in after-call work"),
        "occupied" => tongue.pick("有其他通话", "on another call"),
        other => other,
    }
}

fn overtaken_by_told(value: &Value, tongue: Tongue) -> Vec<String> {
    let by = value["overtaken_by"].as_object();
    by.into_iter()
        .flatten()
        .map(|(reason, count)| {
            let reason = reason_told(reason, tongue);
            match tongue {
                Tongue::Chinese => format!("  此前被越过 {count} 次：{reason}"),
                Tongue::English => format!("  overtaken {count} times before: {reason}"),
            }
        })
        .collect()
}

fn waiting_told(waiting: &Value, tongue: Tongue) -> Vec<String> {
    let (queue, position) = (text(waiting, "queue"), &waiting["position"]);
    let skills = waiting["skills"].as_object();
    let skills: Vec<String> = skills
        .into_iter()
        .flatten()
        .map(|(skill, level)| format!("{skill} {level}"))
        .collect();
    let mut lines = vec![match tongue {
        Tongue::Chinese => format!(
            "正在队列 {queue} 中等待，第 {position} 位；要求技能：{}",
            skills.join(", ")
        ),
        Tongue::English => format!(
            "waits in queue {queue}, place {position}; required: {}",
            skills.join(", ")
        ),
    }];
    if waiting["detached"] == true {
        lines.push(
            tongue
                .pick("  等待回呼", "  waits to be called back")
                .to_owned(),
        );
    }
    if let Some(agent) = waiting["held_for"]["agent"].as_str() {
        let until = text(&waiting["held_for"], "until");
        lines.push(match tongue {
            Tongue::Chinese => format!("  只等坐席 {agent}，直到 {until}"),
            Tongue::English => format!("  waits for agent {agent} alone until {until}"),
        });
    }
    lines.extend(step_told(waiting, tongue));
    if let Some(at) = waiting["next_step"].as_str() {
        lines.push(match tongue {
            Tongue::Chinese => format!("  {at} 起放宽要求"),
            Tongue::English => format!("  requirements relax at {at}"),
        });
    }
    lines.extend(excluded_told(waiting, tongue));
    lines.extend(overtaken_by_told(waiting, tongue));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use serde_json::json;

    fn why() -> Value {
        json!({
            "decisions": [{
                "at": "2026-11-20T09:00:00Z", "queue": "support", "step": 1, "chosen": "1002", "runner_up": "1004",
                "candidates": [
                    {"agent": "1002", "score": 41.2, "terms": {"idle_s": 41.2}},
                    {"agent": "1004", "score": 7.0, "terms": {"idle_s": 7.0}}
                ],
                "excluded": [{"reason": "wrap_up", "count": 1, "examples": ["1001"]}, {"reason": "level", "count": 2, "examples": ["1005", "1006"]}],
                "overtaken": ["cb1-1-3"], "overtaken_by": {"skill": 2}
            }],
            "waiting": null
        })
    }

    #[test]
    fn in_plain_english() {
        expect![[r#"
            2026-11-20T09:00:00Z queue support: offered to agent 1002 (idle for 41 s)
              next best: agent 1004 (idle for 7 s)
              requirements relaxed to step 1
              1 not considered: in after-call work (e.g. 1001)
              2 not considered: a level is too low (e.g. 1005, 1006)
              passed over, since this agent cannot have them: cb1-1-3
              overtaken 2 times before: a skill is missing
        "#]]
        .assert_eq(&told(&why(), Tongue::of("en_GB.UTF-8")));
    }

    #[test]
    fn in_plain_chinese() {
        expect![[r#"
            2026-11-20T09:00:00Z 队列 support：分配给坐席 1002（空闲 41 秒）
              其次是坐席 1004（空闲 7 秒）
              技能要求已放宽到第 1 步
              1 名坐席未入选：话后处理（如 1001）
              2 名坐席未入选：技能等级不够（如 1005, 1006）
              越过了等待更久、但该坐席不能接待的：cb1-1-3
              此前被越过 2 次：缺少技能
        "#]]
        .assert_eq(&told(&why(), Tongue::of("zh_CN.UTF-8")));
    }

    #[test]
    fn one_that_waits() {
        let why = json!({"decisions": [], "waiting": {"queue": "support", "position": 2, "step": 0, "skills": {"support": 1}, "detached": false,
            "next_step": "2026-11-20T09:00:20Z", "held_for": {"agent": "1001", "until": "2026-11-20T09:00:30Z"},
            "excluded": [{"reason": "connected", "count": 4, "examples": ["1001"]}], "overtaken_by": {}}});
        expect![[r#"
            waits in queue support, place 2; required: support 1
              waits for agent 1001 alone until 2026-11-20T09:00:30Z
              requirements relax at 2026-11-20T09:00:20Z
              4 not considered: in a conversation (e.g. 1001)
        "#]]
        .assert_eq(&told(&why, Tongue::English));
        assert!(told(&json!({"decisions": []}), Tongue::Chinese).starts_with("没有保存"));
    }
}
