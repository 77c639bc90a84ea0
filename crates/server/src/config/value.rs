//! The small value types of the files: a length of time, a skill level, and a value that knows where it stands.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, Range};
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `format` of the schema by which the check knows a length of time.
pub const LENGTH_FORMAT: &str = "cordboard-length";

/// A length of time as the files write it: `"20s"`, `"500ms"`, `"5m"`, `"1h30m"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Length(pub Duration);

impl Length {
    /// Whole seconds.
    pub const fn secs(seconds: u64) -> Self {
        Length(Duration::from_secs(seconds))
    }

    /// Milliseconds.
    pub const fn millis(ms: u64) -> Self {
        Length(Duration::from_millis(ms))
    }
}

/// Longest length of time that a file may ask for: beyond it is a slip of the pen.
const LENGTH_MAX: Duration = Duration::from_secs(366 * 86_400);

impl FromStr for Length {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a length of time");
        let mut rest = text.trim();
        let mut total = Duration::ZERO;
        if rest.is_empty() {
            return Err(wrong());
        }
        while !rest.is_empty() {
            let digits = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .ok_or_else(wrong)?;
            let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
            rest = rest[digits..].trim_start();
            let unit = rest
                .find(|c: char| !c.is_ascii_alphabetic())
                .unwrap_or(rest.len());
            let seconds = match &rest[..unit] {
                "ms" => 0.001,
                "s" => 1.0,
                "m" | "min" => 60.0,
                "h" => 3600.0,
                "d" => 86_400.0,
                _ => return Err(wrong()),
            };
            total += Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())?;
            rest = rest[unit..].trim_start();
        }
        if total > LENGTH_MAX {
            return Err(format!("`{text}` is more than a year"));
        }
        Ok(Length(total))
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        match ms {
            0 => f.write_str("0s"),
            _ if ms.is_multiple_of(3_600_000) => write!(f, "{}h", ms / 3_600_000),
            _ if ms.is_multiple_of(60_000) => write!(f, "{}m", ms / 60_000),
            _ if ms.is_multiple_of(1000) => write!(f, "{}s", ms / 1000),
            _ => write!(f, "{ms}ms"),
        }
    }
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Length {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Length {
    fn schema_name() -> Cow<'static, str> {
        "Length".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": LENGTH_FORMAT, "pattern": r"^\s*([0-9.]+\s*(ms|s|m|min|h|d)\s*)+$", "examples": ["20s", "500ms", "5m"] })
    }
}

/// A skill's level, 1 to 10.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, transparent)]
pub struct Level(#[schemars(range(min = 1, max = 10))] pub u8);

/// A value with the place in the file where it stands.
#[derive(Clone, Debug, Default)]
pub struct Placed<T> {
    pub value: T,
    pub span: Range<usize>,
}

impl<T> Deref for Placed<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for Placed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Placed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = toml::Spanned::<T>::deserialize(deserializer)?;
        Ok(Placed {
            span: spanned.span(),
            value: spanned.into_inner(),
        })
    }
}

impl<T: Serialize> Serialize for Placed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<T: JsonSchema> JsonSchema for Placed<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_read_and_write() {
        for (text, ms, written) in [
            ("20s", 20_000, "20s"),
            ("500ms", 500, "500ms"),
            ("5m", 300_000, "5m"),
            ("1h30m", 5_400_000, "90m"),
            ("0s", 0, "0s"),
            ("1.5s", 1500, "1500ms"),
            (" 2 h ", 7_200_000, "2h"),
        ] {
            let length: Length = text.parse().unwrap();
            assert_eq!(length.0.as_millis(), ms, "{text}");
            assert_eq!(length.to_string(), written);
        }
        for wrong in ["", "20", "20 parsecs", "s", "-5s", "1e9d", "999999999h"] {
            assert!(wrong.parse::<Length>().is_err(), "{wrong}");
        }
    }
}
