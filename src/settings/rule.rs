//! Which values a setting takes: Kafka's parsers and validators, with their words.

use super::SettingError;

/// What a setting's value must be.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// `true` or `false`, in any case.
    Boolean,
    /// A number of 32 bits, both ends included.
    Int(i32, i32),
    /// A level from 1 to 9, or -1 for the codec's own default.
    GzipLevel,
    /// A number of 64 bits, from here up.
    Long(i64),
    /// A fraction from 0 to 1.
    Ratio,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A list of these words, or nothing; one that is said twice counts once.
    SomeOf(&'static [&'static str]),
    /// A list of `partition:broker`, `*` or nothing.
    ThrottledReplicas,
    /// Text that this takes, given the setting's name and the value; its error says what would be taken.
    Text(fn(&'static str, &str) -> Result<(), String>),
}

/// Types as DescribeConfigs numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum SettingType {
    /// `true` or `false`.
    Boolean = 1,
    /// Text.
    String = 2,
    /// 32 bits.
    Int = 3,
    /// 64 bits.
    Long = 5,
    /// A floating-point number.
    Double = 6,
    /// Words parted by commas.
    List = 7,
}

impl SettingType {
    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> i8 {
        self as i8
    }
}

impl Rule {
    /// The type that Kafka states.
    #[must_use]
    pub fn setting_type(self) -> SettingType {
        match self {
            Rule::Boolean => SettingType::Boolean,
            Rule::Int(..) | Rule::GzipLevel => SettingType::Int,
            Rule::Long(_) => SettingType::Long,
            Rule::Ratio => SettingType::Double,
            Rule::OneOf(_) | Rule::Text(_) => SettingType::String,
            Rule::SomeOf(_) | Rule::ThrottledReplicas => SettingType::List,
        }
    }

    /// Checks `value` of the setting `name`; gives its normal form.
    pub(super) fn check(self, name: &'static str, value: &str) -> Result<String, SettingError> {
        let refuse =
            |accepted: String| SettingError::InvalidValue { name, value: value.to_owned(), accepted };
        let trimmed = trim(value);
        match self {
            Rule::Boolean => boolean(trimmed).map(|value| value.to_string()).map_err(refuse),
            Rule::Int(min, max) => int(trimmed, min, max).map_err(refuse),
            Rule::GzipLevel => gzip_level(trimmed).map_err(refuse),
            Rule::Long(min) => long(trimmed, min).map_err(refuse),
            Rule::Ratio => ratio(trimmed).map_err(refuse),
            Rule::OneOf(words) => one_of(words, trimmed).map(str::to_owned).map_err(refuse),
            Rule::SomeOf(words) => some_of(name, words, trimmed),
            Rule::ThrottledReplicas => throttled_replicas(name, trimmed),
            Rule::Text(check) => check(name, trimmed).map(|()| trimmed.to_owned()).map_err(refuse),
        }
    }
}

/// The elements of a list as Kafka reads it: blanks around commas do not count, empty elements stay.
pub fn elements(list: &str) -> Vec<&str> {
    match trim(list) {
        "" => Vec::new(),
        list => list.split(',').map(trim).collect(),
    }
}

/// Java's `trim`: everything up to the blank goes.
fn trim(value: &str) -> &str {
    value.trim_matches(|character| character <= ' ')
}

fn boolean(value: &str) -> Result<bool, String> {
    if value.eq_ignore_ascii_case("true") {
        Ok(true)
    } else if value.eq_ignore_ascii_case("false") {
        Ok(false)
    } else {
        Err("Expected value to be either true or false".to_owned())
    }
}

fn int(value: &str, min: i32, max: i32) -> Result<String, String> {
    let number: i32 = value.parse().map_err(|_| not_a_number("INT"))?;
    if number < min {
        return Err(format!("Value must be at least {min}"));
    }
    if number > max {
        return Err(format!("Value must be no more than {max}"));
    }
    Ok(number.to_string())
}

fn gzip_level(value: &str) -> Result<String, String> {
    let number: i32 = value.parse().map_err(|_| not_a_number("INT"))?;
    if number != -1 && !(1..=9).contains(&number) {
        return Err("Value must be between 1 and 9 or equal to -1".to_owned());
    }
    Ok(number.to_string())
}

fn long(value: &str, min: i64) -> Result<String, String> {
    let number: i64 = value.parse().map_err(|_| not_a_number("LONG"))?;
    if number < min {
        return Err(format!("Value must be at least {min}"));
    }
    Ok(number.to_string())
}

fn ratio(value: &str) -> Result<String, String> {
    let number = java_double(value).ok_or_else(|| not_a_number("DOUBLE"))?;
    if number < 0.0 {
        return Err("Value must be at least 0".to_owned());
    }
    if number > 1.0 {
        return Err("Value must be no more than 1".to_owned());
    }
    Ok(format!("{number:?}"))
}

/// A number as Java's `parseDouble` takes it: a suffix is allowed, short names of infinity are not.
fn java_double(value: &str) -> Option<f64> {
    let unsigned = value.strip_prefix(['+', '-']).unwrap_or(value);
    if !unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && !matches!(unsigned, "NaN" | "Infinity")
    {
        return None;
    }
    let plain = match unsigned {
        "NaN" | "Infinity" => value,
        _ => value.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(value),
    };
    plain.parse().ok()
}

fn one_of<'a>(words: &[&str], value: &'a str) -> Result<&'a str, String> {
    if words.contains(&value) {
        return Ok(value);
    }
    Err(format!("String must be one of: {}", words.join(", ")))
}

fn some_of(name: &'static str, words: &[&str], list: &str) -> Result<String, SettingError> {
    let mut distinct = Vec::new();
    for element in elements(list) {
        if element.is_empty() {
            return Err(SettingError::EmptyElement(name));
        }
        one_of(words, element).map_err(|accepted| SettingError::InvalidValue {
            name,
            value: element.to_owned(),
            accepted,
        })?;
        if !distinct.contains(&element) {
            distinct.push(element);
        }
    }
    Ok(distinct.join(","))
}

fn throttled_replicas(name: &'static str, list: &str) -> Result<String, SettingError> {
    let elements = elements(list);
    if elements.concat() != "*" && !elements.iter().all(|element| element.is_empty() || is_replica(element)) {
        return Err(SettingError::InvalidValue {
            name,
            value: format!("[{}]", elements.join(", ")),
            accepted: format!(
                "{name} must be the literal '*' or a list of replicas in the following format: \
                 [partitionId]:[brokerId],[partitionId]:[brokerId],..."
            ),
        });
    }
    Ok(elements.join(","))
}

fn is_replica(element: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    element.split_once(':').is_some_and(|(partition, broker)| digits(partition) && digits(broker))
}

fn not_a_number(of: &str) -> String {
    format!("Not a number of type {of}")
}
