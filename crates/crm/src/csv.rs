//! Customers in and out as a spreadsheet's file.
//!
//! The first line names the columns: `id`, `name`, `class`, `phones`, `language`, `tags`, `notes` in any order and case; every other column is an
//! attribute. Several phones or tags in a cell are separated by `;`. UTF-8, with or without a byte order mark; nothing else is guessed at,
//! because a wrong guess would store every name broken.
//!
//! On the way out a cell that a spreadsheet would run as a formula gets an apostrophe before it, and on the way in it loses it again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Read, Write};

use csv::{ByteRecord, ReaderBuilder};

use crate::api::{Customer, CustomerId, Number};
use crate::customer::FieldError;

/// Most columns of a file.
pub const COLUMNS_MAX: usize = 128;

const KNOWN: [&str; 7] = ["id", "name", "class", "phones", "language", "tags", "notes"];
/// A spreadsheet takes a cell that begins with one of these for a formula; the apostrophe is here so that the guard itself comes back unharmed.
const GUARDED: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\''];

/// The column in a message about one.
fn column(field: &str) -> String {
    if field == WHOLE_LINE {
        String::new()
    } else {
        format!(", {field}")
    }
}

/// The `field` of what is about a whole line.
const WHOLE_LINE: &str = "line";

/// Why a line, or the whole file, was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}{}: {message} ({hint})", column(.field))]
pub struct ImportError {
    /// Of the file, from 1.
    pub line: u64,
    /// The column's name, or `line` when it is about the whole of it.
    pub field: String,
    pub message: String,
    pub hint: String,
    /// Nothing more can be read.
    pub fatal: bool,
}

impl ImportError {
    fn new(line: u64, error: FieldError) -> Self {
        ImportError {
            line,
            field: error.field,
            message: error.message,
            hint: error.hint,
            fatal: false,
        }
    }

    fn fatal(line: u64, message: impl Into<String>, hint: &str) -> Self {
        ImportError {
            line,
            field: "line".into(),
            message: message.into(),
            hint: hint.into(),
            fatal: true,
        }
    }
}

/// Reads customers; an error in one line leaves the others readable, a fatal one ends the iteration.
///
/// `default_country` (`CN`) is for phone numbers without a country code. A line whose id has been on an earlier line is an error.
///
/// ```
/// let file = "id,name,class,phones,city\nC1,张伟,A,13800138000;010-65529988,北京\n";
/// let customers: Vec<_> = crm::read_customers(file.as_bytes(), "CN").collect::<Result<_, _>>()?;
/// assert_eq!(customers[0].phones, ["+8613800138000", "+861065529988"]);
/// assert_eq!(customers[0].attributes["city"], "北京");
/// # Ok::<(), crm::ImportError>(())
/// ```
pub fn read_customers<R: Read>(reader: R, default_country: &str) -> Customers<R> {
    let reader = ReaderBuilder::new()
        .flexible(true)
        .has_headers(false)
        .from_reader(BomSkipper {
            inner: reader,
            begun: false,
            pending: Vec::new(),
        });
    Customers {
        reader,
        default_country: default_country.to_owned(),
        columns: None,
        record: ByteRecord::new(),
        lines_by_id: HashMap::new(),
        over: false,
    }
}

/// The iterator of [`read_customers`].
pub struct Customers<R> {
    reader: csv::Reader<BomSkipper<R>>,
    default_country: String,
    columns: Option<Vec<String>>,
    record: ByteRecord,
    lines_by_id: HashMap<String, u64>,
    over: bool,
}

impl<R: Read> Iterator for Customers<R> {
    type Item = Result<Customer, ImportError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let item = self.read_next().transpose();
        self.over = match &item {
            None => true,
            Some(Err(error)) => error.fatal,
            Some(Ok(_)) => false,
        };
        item
    }
}

impl<R: Read> Customers<R> {
    /// Bytes of the file that have been read, for a progress bar.
    pub fn bytes_read(&self) -> u64 {
        self.reader.position().byte()
    }

    fn read_next(&mut self) -> Result<Option<Customer>, ImportError> {
        if self.columns.is_none() {
            let Some(line) = self.read_line()? else {
                return Err(ImportError::fatal(
                    1,
                    "the file is empty",
                    "the first line names the columns: id,name,class,phones,language,tags,notes",
                ));
            };
            self.columns = Some(columns(&self.record, line)?);
        }
        loop {
            let Some(line) = self.read_line()? else {
                return Ok(None);
            };
            if self.record.iter().all(|cell| cell.trim_ascii().is_empty()) {
                continue; // spreadsheets leave empty rows behind
            }
            return self.customer(line).map(Some);
        }
    }

    fn read_line(&mut self) -> Result<Option<u64>, ImportError> {
        let line = self.reader.position().line();
        match self.reader.read_byte_record(&mut self.record) {
            Ok(true) => Ok(Some(
                self.record.position().map_or(line, csv::Position::line),
            )),
            Ok(false) => Ok(None),
            Err(error) => Err(ImportError::fatal(
                line,
                error.to_string(),
                "the file could not be read to its end",
            )),
        }
    }

    fn customer(&mut self, line: u64) -> Result<Customer, ImportError> {
        let columns = self.columns.as_deref().unwrap_or_default();
        if self.record.len() != columns.len() {
            return Err(ImportError {
                line,
                field: "line".into(),
                message: format!(
                    "{} cells, but the header has {}",
                    self.record.len(),
                    columns.len()
                ),
                hint: "a cell with a comma or a line break in it needs double quotes around it"
                    .into(),
                fatal: false,
            });
        }
        let mut customer = Customer {
            id: CustomerId("".into()),
            name: String::new(),
            class: String::new(),
            phones: Vec::new(),
            language: String::new(),
            tags: Vec::new(),
            notes: String::new(),
            attributes: BTreeMap::new(),
        };
        for (column, cell) in columns.iter().zip(self.record.iter()) {
            let text =
                std::str::from_utf8(cell).map_err(|_| ImportError::new(line, not_utf8(column)))?;
            put(
                &mut customer,
                column,
                unguard(text.trim()),
                &self.default_country,
            )
            .map_err(|error| ImportError::new(line, error))?;
        }
        customer
            .check()
            .map_err(|error| ImportError::new(line, error))?;
        if let Some(first) = self.lines_by_id.get(&*customer.id.0) {
            let error = FieldError::new(
                "id",
                format!("{:?} is already on line {first}", customer.id.0),
                "give each customer one line and an id of its own",
            );
            return Err(ImportError::new(line, error));
        }
        self.lines_by_id.insert(customer.id.0.to_string(), line);
        Ok(customer)
    }
}

fn not_utf8(column: &str) -> FieldError {
    FieldError::new(
        column,
        "not UTF-8 (GBK or GB18030?)",
        "save the file as \"CSV UTF-8\", or run: iconv -f GB18030 -t UTF-8 old.csv > new.csv",
    )
}

fn columns(header: &ByteRecord, line: u64) -> Result<Vec<String>, ImportError> {
    if header.len() > COLUMNS_MAX {
        return Err(ImportError::fatal(
            line,
            format!("{} columns", header.len()),
            "at most 128",
        ));
    }
    let mut columns: Vec<String> = Vec::with_capacity(header.len());
    for cell in header {
        let text = std::str::from_utf8(cell).map_err(|_| {
            let error = not_utf8("header");
            ImportError::fatal(line, error.message, &error.hint)
        })?;
        let name = unguard(text.trim());
        let known = match name.to_ascii_lowercase().as_str() {
            "phone" => Some("phones"),
            "tag" => Some("tags"),
            "note" => Some("notes"),
            other => KNOWN.into_iter().find(|known| *known == other),
        };
        let name = known.unwrap_or(name).to_owned();
        if columns.contains(&name) {
            return Err(ImportError::fatal(
                line,
                format!("two columns are named {name:?}"),
                "rename one of them",
            ));
        }
        columns.push(name);
    }
    if !columns.iter().any(|name| name == "id") {
        let hint = if columns.len() == 1 && columns[0].contains([';', '\t']) {
            "the cells must be separated by commas"
        } else {
            "the first line names the columns: id,name,class,phones,language,tags,notes"
        };
        return Err(ImportError::fatal(line, "no column is named \"id\"", hint));
    }
    Ok(columns)
}

fn put(
    customer: &mut Customer,
    column: &str,
    text: &str,
    default_country: &str,
) -> Result<(), FieldError> {
    match column {
        "id" => customer.id = CustomerId(text.into()),
        "name" => customer.name = text.to_owned(),
        "class" => customer.class = text.to_ascii_uppercase(),
        "phones" => customer.phones = phones(text, default_country)?,
        "language" => customer.language = language(text),
        "tags" => {
            customer.tags = list(text)
                .map(str::to_owned)
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect()
        }
        "notes" => customer.notes = text.to_owned(),
        "" => {
            if !text.is_empty() {
                return Err(FieldError::new(
                    "line",
                    format!("{text:?} is in a column without a name"),
                    "give the column a name in the first line",
                ));
            }
        }
        _ if text.is_empty() => {}
        _ => drop(
            customer
                .attributes
                .insert(column.to_owned(), text.to_owned()),
        ),
    }
    Ok(())
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split([';', '；'])
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

/// E.164 where it is one; an extension or a short number as it stands; anything else is a mistake.
fn phones(text: &str, default_country: &str) -> Result<Vec<String>, FieldError> {
    let mut phones: Vec<String> = Vec::new();
    for raw in list(text) {
        let number = Number::parse(raw, default_country);
        if number.e164.is_none()
            && !((2..=8).contains(&raw.len()) && raw.bytes().all(|b| b.is_ascii_digit()))
        {
            return Err(FieldError::new(
                "phones",
                format!("{raw:?} is no valid number"),
                format!(
                    "+86…, a number as dialled in {default_country}, or an extension; several separated by `;`"
                ),
            ));
        }
        let key = number.key();
        if !phones.iter().any(|phone| phone == key) {
            phones.push(key.to_owned());
        }
    }
    Ok(phones)
}

fn language(text: &str) -> String {
    match text.to_ascii_lowercase().replace('_', "-").as_str() {
        "zh" | "zh-cn" | "zh-hans" | "zh-hans-cn" | "cn" | "中文" => "zh-CN".to_owned(),
        "en" | "en-us" | "en-gb" | "english" | "英文" => "en".to_owned(),
        _ => text.to_owned(),
    }
}

/// Writes customers in the form that [`read_customers`] reads. `attributes` are the names of the columns beyond the known ones: the caller
/// knows them (from a first pass), since the header comes before the customers.
pub fn write_customers<W: Write>(
    writer: W,
    attributes: &BTreeSet<String>,
    customers: impl IntoIterator<Item = Customer>,
) -> io::Result<u64> {
    let mut writer = csv::Writer::from_writer(writer);
    writer.write_record(
        KNOWN
            .into_iter()
            .map(str::to_owned)
            .chain(attributes.iter().map(|name| guard(name))),
    )?;
    let mut count = 0;
    for customer in customers {
        let attributes = attributes
            .iter()
            .map(|name| guard(customer.attributes.get(name).map_or("", String::as_str)));
        let known = [
            &*customer.id.0,
            &customer.name,
            &customer.class,
            &customer.phones.join(";"),
            &customer.language,
            &customer.tags.join(";"),
            &customer.notes,
        ]
        .map(guard);
        writer.write_record(known.into_iter().chain(attributes))?;
        count += 1;
    }
    writer.flush()?;
    Ok(count)
}

fn guard(text: &str) -> String {
    // Only digits behind the plus sign: no formula, and other tools want to read it.
    let phones = text.bytes().all(|b| matches!(b, b'+' | b';' | b'0'..=b'9'));
    if text.starts_with(GUARDED) && !phones {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

fn unguard(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(rest) if rest.starts_with(GUARDED) => rest,
        _ => text,
    }
}

/// Drops the byte order mark that spreadsheets put before UTF-8.
struct BomSkipper<R> {
    inner: R,
    begun: bool,
    pending: Vec<u8>,
}

impl<R: Read> Read for BomSkipper<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if !self.begun {
            self.begun = true;
            self.inner.by_ref().take(3).read_to_end(&mut self.pending)?;
            if self.pending.starts_with(&[0xff, 0xfe]) || self.pending.starts_with(&[0xfe, 0xff]) {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the file is UTF-16: save it as \"CSV UTF-8\"",
                ));
            }
            if self.pending == [0xef, 0xbb, 0xbf] {
                self.pending.clear();
            }
        }
        if self.pending.is_empty() {
            return self.inner.read(out);
        }
        let count = out.len().min(self.pending.len());
        out[..count].copy_from_slice(&self.pending[..count]);
        self.pending.drain(..count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Vec<Result<Customer, ImportError>> {
        read_customers(text, "CN").collect()
    }

    #[test]
    fn a_spreadsheets_file() {
        let file = "\u{feff}ID, Name,class,Phone,language,tags,notes,城市\r\nC1,张伟,a,13800138000；010-65529988;13800138000,zh,vip; renewal,\"讨厌\n等待, 真的\",北京\r\n,,,,,,,\r\nC2,Ann,,+1 212 736 5000,en_US,,,\r\n";
        let customers: Vec<Customer> = read(file.as_bytes())
            .into_iter()
            .collect::<Result<_, _>>()
            .expect("reads");
        assert_eq!(customers.len(), 2);
        let first = &customers[0];
        assert_eq!(
            (first.class.as_str(), first.language.as_str()),
            ("A", "zh-CN")
        );
        assert_eq!(first.phones, ["+8613800138000", "+861065529988"]);
        assert_eq!(first.tags, ["renewal", "vip"]);
        assert_eq!(first.notes, "讨厌\n等待, 真的");
        assert_eq!(
            first.attributes,
            BTreeMap::from([("城市".to_owned(), "北京".to_owned())])
        );
        assert_eq!(customers[1].phones, ["+12127365000"]);
        assert!(customers[1].attributes.is_empty());
    }

    #[test]
    fn errors_name_the_line_and_the_rest_is_read() {
        let file = b"id,name,class,phones\nC1,a,A,1001\nC1,b,B,13800138000\nC2,c,D,\nC3,d,A,hello\nC4,\xd5\xc5,A,\nC5,e\nC6,f,C,\n".as_slice();
        let got = read(file);
        let errors: Vec<(u64, String)> = got
            .iter()
            .filter_map(|item| item.as_ref().err())
            .map(|e| (e.line, e.field.clone()))
            .collect();
        assert_eq!(
            errors,
            [
                (3, "id".into()),
                (4, "class".into()),
                (5, "phones".into()),
                (6, "name".into()),
                (7, "line".into())
            ]
        );
        let ids: Vec<&str> = got
            .iter()
            .filter_map(|item| item.as_ref().ok())
            .map(|c| &*c.id.0)
            .collect();
        assert_eq!(ids, ["C1", "C6"]);
        assert!(
            got[1]
                .as_ref()
                .expect_err("twice")
                .message
                .contains("line 2")
        );
    }

    #[test]
    fn a_file_that_is_no_such_file() {
        for (file, word) in [
            (b"".as_slice(), "empty"),
            (b"name,class\nx,A\n", "id"),
            (b"id;name\n1;x\n", "id"),
            (b"id,id\n", "two columns"),
            (b"\xff\xfei\0d\0", "UTF-16"),
            (b"id,\xd0\xd5\n", "UTF-8"),
        ] {
            let got = read(file);
            assert_eq!(got.len(), 1);
            let error = got[0].as_ref().expect_err("refused");
            assert!(error.fatal && error.message.contains(word), "{error}");
        }
    }

    #[test]
    fn formulas_are_disarmed_and_come_back() {
        let customer = Customer {
            id: CustomerId("C1".into()),
            name: "=HYPERLINK(\"http://x\")".into(),
            class: String::new(),
            phones: vec!["+8613800138000".into(), "1001".into()],
            language: String::new(),
            tags: vec!["@cmd".into()],
            notes: "'=already".into(),
            attributes: BTreeMap::from([("a".to_owned(), "-1+1".to_owned())]),
        };
        let mut file = Vec::new();
        let count = write_customers(
            &mut file,
            &BTreeSet::from(["a".to_owned()]),
            [customer.clone()],
        )
        .expect("writes");
        let text = String::from_utf8(file.clone()).expect("UTF-8");
        assert_eq!(count, 1);
        assert!(text.contains("\"'=HYPERLINK(\"\"http://x\"\")\""), "{text}");
        assert!(
            text.contains(",+8613800138000;1001,") && text.contains(",'@cmd,''=already,'-1+1"),
            "{text}"
        );
        assert_eq!(read(&file), [Ok(customer)]);
    }
}
