//! Conditions and texts of a flow, compiled once when it is loaded.
//!
//! minijinja evaluates them: sandboxed, on a budget of [`FUEL`] steps. The environment is empty but for a few filters and tests,
//! so nothing of it grows with what a caller does. A text is literal pieces and `{{ expression }}`; statements (`{% … %}`)
//! are refused, because flow is the business of states.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use minijinja::value::{Object, Value as Jinja, ValueKind};
use minijinja::{Environment, Expression, UndefinedBehavior, filters, tests as predicates};

use crate::api::Value;

/// Steps of one evaluation; a condition of twenty terms takes under a hundred.
const FUEL: u64 = 1_000;
/// Longest expression or text in a flow, in bytes; a longer one is a programme, not a condition.
pub(crate) const MAX_SOURCE: usize = 1_000;
/// Longest text that a variable keeps, in characters, so that `x ~ x` in a loop cannot grow.
const MAX_TEXT: usize = 1_000;

/// What every customer has; a field that the record lacks reads as empty.
pub(crate) const CUSTOMER_FIELDS: [&str; 7] =
    ["known", "id", "name", "class", "language", "tags", "count"];
/// What every call has.
pub(crate) const CALL_FIELDS: [&str; 3] = ["ani", "dnis", "anonymous"];
/// Names that a flow may read without setting them.
pub(crate) const BUILT_IN: [&str; 4] = ["call", "customer", "language", "language_known"];
/// Words of the expression language, which cannot name a variable.
pub(crate) const RESERVED: [&str; 14] = [
    "and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "True", "False", "None",
    "loop",
];

/// An immutable constant: filters and settings, no templates.
static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::empty();
    environment.set_fuel(Some(FUEL));
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_filter("default", filters::default);
    environment.add_filter("length", filters::length);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("upper", filters::upper);
    environment.add_filter("trim", filters::trim);
    environment.add_filter("int", filters::int);
    environment.add_test("defined", predicates::is_defined);
    environment.add_test("number", predicates::is_number);
    environment.add_test("string", predicates::is_string);
    environment.add_test("startingwith", predicates::is_startingwith);
    environment.add_test("endingwith", predicates::is_endingwith);
    environment
});

/// The variables that expressions see.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    pub(crate) call: Jinja,
    pub(crate) customer: Jinja,
    pub(crate) language: &'static str,
    pub(crate) language_known: bool,
    pub(crate) locals: BTreeMap<Arc<str>, Jinja>,
}

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        match key.as_str()? {
            "call" => Some(self.call.clone()),
            "customer" => Some(self.customer.clone()),
            "language" => Some(Jinja::from(self.language)),
            "language_known" => Some(Jinja::from(self.language_known)),
            name => self.locals.get(name).cloned(),
        }
    }
}

/// Named values under one name: `customer.…`, `call.…`.
#[derive(Debug)]
struct Fields(BTreeMap<Box<str>, Jinja>);

impl Object for Fields {
    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        self.0.get(key.as_str()?).cloned()
    }
}

/// The call as expressions see it.
pub(crate) fn call_value(ani: &str, dnis: &str) -> Jinja {
    // RFC 3323 section 4.1.1.3: who hides the number sends this word in its place.
    let anonymous = ani.is_empty() || ani.eq_ignore_ascii_case("anonymous");
    let fields = [
        ("ani", Jinja::from(ani)),
        ("dnis", Jinja::from(dnis)),
        ("anonymous", Jinja::from(anonymous)),
    ];
    Jinja::from_object(Fields(
        fields.map(|(name, value)| (Box::from(name), value)).into(),
    ))
}

/// The customer as expressions see it: every field of [`CUSTOMER_FIELDS`] is there.
pub(crate) fn customer_value(record: Option<&BTreeMap<String, Value>>) -> Jinja {
    let empty = |field: &str| match field {
        "tags" => Jinja::from(Vec::<Jinja>::new()),
        "count" => Jinja::from(0),
        _ => Jinja::from(""),
    };
    let mut fields: BTreeMap<Box<str>, Jinja> = CUSTOMER_FIELDS
        .iter()
        .map(|field| (Box::from(*field), empty(field)))
        .collect();
    // A record that says nothing about it is somebody's, an empty one nobody's.
    let known = record.is_some_and(|record| !record.is_empty());
    fields.insert("known".into(), Jinja::from(known));
    for (name, value) in record.into_iter().flatten() {
        fields.insert(name.as_str().into(), to_jinja(value));
    }
    Jinja::from_object(Fields(fields))
}

/// Whole numbers become integers, so that they are spoken and compared as such.
pub(crate) fn to_jinja(value: &Value) -> Jinja {
    match value {
        Value::Bool(truth) => Jinja::from(*truth),
        Value::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
            Jinja::from(*number as i64)
        }
        Value::Number(number) => Jinja::from(*number),
        Value::Text(text) => Jinja::from(text.as_str()),
        Value::List(items) => items.iter().map(to_jinja).collect::<Vec<_>>().into(),
        Value::Record(fields) => {
            let fields = fields
                .iter()
                .map(|(name, value)| (name.as_str().into(), to_jinja(value)));
            Jinja::from_object(Fields(fields.collect()))
        }
        Value::Nothing => Jinja::from(""),
    }
}

/// What an expression gave, for a service.
pub(crate) fn from_jinja(value: &Jinja) -> Value {
    match value.kind() {
        ValueKind::Bool => Value::Bool(value.is_true()),
        ValueKind::Number => f64::try_from(value.clone()).map_or(Value::Nothing, Value::Number),
        ValueKind::Seq => value
            .try_iter()
            .map(|items| Value::List(items.map(|item| from_jinja(&item)).collect()))
            .unwrap_or(Value::Nothing),
        ValueKind::None | ValueKind::Undefined => Value::Nothing,
        _ => Value::Text(value.to_string()),
    }
}

/// Something wrong in an expression or text, with its place in bytes from the beginning of it.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) range: Range<usize>,
}

/// A compiled expression.
pub(crate) struct Expr {
    compiled: Expression<'static, 'static>,
    source: Box<str>,
    reads: Vec<String>,
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expr({})", self.source)
    }
}

impl Expr {
    pub(crate) fn compile(source: &str) -> Result<Expr, Fault> {
        if source.len() > MAX_SOURCE {
            let message = format!("the expression is longer than {MAX_SOURCE} bytes");
            return Err(Fault {
                message,
                range: 0..source.len(),
            });
        }
        let compiled = ENVIRONMENT
            .compile_expression_owned(source.to_owned())
            .map_err(|error| Fault {
                message: error
                    .detail()
                    .map_or_else(|| error.kind().to_string(), str::to_owned),
                range: error
                    .range()
                    .filter(|range| range.end <= source.len())
                    .unwrap_or(0..source.len()),
            })?;
        let mut reads: Vec<String> = compiled.undeclared_variables(true).into_iter().collect();
        reads.sort();
        Ok(Expr {
            compiled,
            source: source.into(),
            reads,
        })
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Variables read, e.g. `customer.class`, sorted.
    pub(crate) fn reads(&self) -> &[String] {
        &self.reads
    }

    /// Whether the answer may change when the customer look-up comes back.
    pub(crate) fn reads_customer(&self) -> bool {
        self.reads.iter().any(|name| {
            matches!(
                name.split('.').next(),
                Some("customer" | "language" | "language_known")
            )
        })
    }

    fn value(&self, scope: &Arc<Scope>) -> Result<Jinja, minijinja::Error> {
        self.compiled.eval(Jinja::from_dyn_object(scope.clone()))
    }

    /// The truth of a condition; an error of evaluation is for the caller's error path.
    pub(crate) fn truth(&self, scope: &Arc<Scope>) -> Result<bool, minijinja::Error> {
        Ok(self.value(scope)?.is_true())
    }
}

/// Literal text with expressions in it.
#[derive(Debug)]
pub(crate) struct Text {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Literal(Box<str>),
    Expr(Expr),
}

impl Text {
    pub(crate) fn compile(source: &str) -> Result<Text, Fault> {
        let mut pieces = Vec::new();
        let mut at = 0;
        if let Some(statement) = source.find("{%") {
            let message = "a text has no statements: branch with a `decide` state".to_owned();
            return Err(Fault {
                message,
                range: statement..statement + 2,
            });
        }
        while let Some(open) = source[at..].find("{{").map(|found| found + at) {
            let Some(close) = source[open..].find("}}").map(|found| found + open) else {
                return Err(Fault {
                    message: "`{{` without `}}`".to_owned(),
                    range: open..open + 2,
                });
            };
            if open > at {
                pieces.push(Piece::Literal(source[at..open].into()));
            }
            let inner = &source[open + 2..close];
            let offset = open + 2 + (inner.len() - inner.trim_start().len());
            let expr = Expr::compile(inner.trim()).map_err(|fault| Fault {
                message: fault.message,
                range: fault.range.start + offset..fault.range.end + offset,
            })?;
            pieces.push(Piece::Expr(expr));
            at = close + 2;
        }
        if at < source.len() {
            pieces.push(Piece::Literal(source[at..].into()));
        }
        Ok(Text { pieces })
    }

    /// The text itself, when there is no expression in it.
    pub(crate) fn constant(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether it is a text whatever its expressions give.
    pub(crate) fn is_mixed(&self) -> bool {
        self.pieces.len() > 1
    }

    /// As it stands in the file.
    pub(crate) fn source(&self) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Literal(text) => text.to_string(),
            Piece::Expr(expr) => format!("{{{{ {} }}}}", expr.source),
        };
        self.pieces.iter().map(piece).collect()
    }

    pub(crate) fn exprs(&self) -> impl Iterator<Item = &Expr> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(_) => None,
            Piece::Expr(expr) => Some(expr),
        })
    }

    /// A lone `{{ expression }}` keeps its type; anything else is a text of bounded length.
    pub(crate) fn value(&self, scope: &Arc<Scope>) -> Result<Jinja, minijinja::Error> {
        if let [Piece::Expr(expr)] = self.pieces.as_slice() {
            let value = expr.value(scope)?;
            return Ok(bounded(value));
        }
        Ok(Jinja::from(self.render(scope)?))
    }

    pub(crate) fn render(&self, scope: &Arc<Scope>) -> Result<String, minijinja::Error> {
        self.render_by(scope, |part, text| text.push_str(part))
    }

    /// As a part of a URL: what expressions give is percent-encoded, so that it stays one segment or value (RFC 3986 section 2.4).
    pub(crate) fn render_in_url(&self, scope: &Arc<Scope>) -> Result<String, minijinja::Error> {
        self.render_by(scope, percent_encode)
    }

    fn render_by(
        &self,
        scope: &Arc<Scope>,
        push: impl Fn(&str, &mut String),
    ) -> Result<String, minijinja::Error> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Expr(expr) => {
                    let value = expr.value(scope)?;
                    match value.as_str() {
                        Some(part) => push(part, &mut text),
                        None => push(&value.to_string(), &mut text),
                    }
                }
            }
        }
        Ok(if text.len() > MAX_TEXT {
            shortened(&text)
        } else {
            text
        })
    }
}

/// A text of what a variable keeps at most; lists and objects of a service's answer are bounded by the answer.
pub(crate) fn bounded(value: Jinja) -> Jinja {
    match value.as_str() {
        Some(text) if text.len() > MAX_TEXT => Jinja::from(shortened(text)),
        _ => value,
    }
}

/// Everything but RFC 3986's unreserved characters.
fn percent_encode(part: &str, text: &mut String) {
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Arc<Scope> {
        let record = [
            ("class".to_owned(), Value::Text("A".into())),
            (
                "tags".to_owned(),
                Value::List(vec![Value::Text("vip".into())]),
            ),
        ];
        Arc::new(Scope {
            call: call_value("+8613800138000", "1000"),
            customer: customer_value(Some(&record.into())),
            language: "en",
            language_known: true,
            locals: [
                (Arc::from("credit"), Jinja::from(7)),
                (Arc::from("big"), Jinja::from("x".repeat(1_000))),
            ]
            .into(),
        })
    }

    fn truth(source: &str) -> bool {
        Expr::compile(source).unwrap().truth(&scope()).unwrap()
    }

    #[test]
    fn conditions() {
        assert!(truth("customer.class == 'A'"));
        assert!(truth("customer.class in ['A', 'B'] and not call.anonymous"));
        assert!(truth("'vip' in customer.tags"));
        assert!(truth("customer.name == '' and customer.known"));
        assert!(truth("call.ani is startingwith '+86'"));
        assert!(truth(
            "credit + 1 > 7 and language == 'en' and language_known"
        ));
    }
}
