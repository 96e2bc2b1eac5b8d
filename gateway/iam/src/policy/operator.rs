//! What conditions compare with.
//!
//! Invariants:
//! - an operator says whether one value of a request and one of the policy agree; what is negated
//!   compares alike, and its condition turns the answer round.

use std::net::IpAddr;

use time::{
    Date, OffsetDateTime, format_description::well_known::Iso8601, macros::format_description,
};

use super::{
    context::PolicyContext,
    pattern::{Steps, matches},
    text::Text,
};

/// An operator, without `ForAllValues:`, `ForAnyValue:` and `IfExists`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    /// The same text.
    String { negated: bool, ignores_case: bool },
    /// A pattern.
    Like { negated: bool },
    /// Numbers.
    Numeric(Order),
    /// Points in time.
    Date(Order),
    /// `true` or `false`.
    Bool,
    /// Base 64, which is compared as it stands.
    Binary,
    /// An address in a network.
    Ip { negated: bool },
    /// Names of AWS, compared field by field.
    Arn { negated: bool },
    /// Whether a key is there.
    Null,
}

/// How two quantities are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "Equals" => Self::Equal,
            "NotEquals" => Self::NotEqual,
            "LessThan" => Self::Less,
            "LessThanEquals" => Self::LessOrEqual,
            "GreaterThan" => Self::Greater,
            "GreaterThanEquals" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    /// Whether the quantities agree; what is negated compares as if it were not.
    fn holds<T: PartialOrd>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Equal | Self::NotEqual => left == right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

impl Operator {
    /// The operator of a name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "StringEquals" => Self::String { negated: false, ignores_case: false },
            "StringNotEquals" => Self::String { negated: true, ignores_case: false },
            "StringEqualsIgnoreCase" => Self::String { negated: false, ignores_case: true },
            "StringNotEqualsIgnoreCase" => Self::String { negated: true, ignores_case: true },
            "StringLike" => Self::Like { negated: false },
            "StringNotLike" => Self::Like { negated: true },
            "Bool" => Self::Bool,
            "BinaryEquals" => Self::Binary,
            "IpAddress" => Self::Ip { negated: false },
            "NotIpAddress" => Self::Ip { negated: true },
            "ArnEquals" | "ArnLike" => Self::Arn { negated: false },
            "ArnNotEquals" | "ArnNotLike" => Self::Arn { negated: true },
            "Null" => Self::Null,
            _ => {
                let numeric = name.strip_prefix("Numeric").and_then(Order::named);
                let date = || name.strip_prefix("Date").and_then(Order::named);
                return numeric.map(Self::Numeric).or_else(|| date().map(Self::Date));
            }
        })
    }

    /// Whether its condition holds where the values do not agree.
    pub(super) fn is_negated(self) -> bool {
        match self {
            Self::String { negated, .. }
            | Self::Like { negated }
            | Self::Ip { negated }
            | Self::Arn { negated } => negated,
            Self::Numeric(order) | Self::Date(order) => order == Order::NotEqual,
            Self::Bool | Self::Binary | Self::Null => false,
        }
    }

    /// Whether a value of a policy makes sense to it.
    pub(super) fn can_read(self, value: &str) -> bool {
        match self {
            Self::String { .. } | Self::Like { .. } | Self::Binary => true,
            Self::Numeric(_) => number(value).is_some(),
            Self::Date(_) => instant(value).is_some(),
            Self::Bool | Self::Null => {
                value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false")
            }
            Self::Ip { .. } => Network::parse(value).is_some(),
            Self::Arn { .. } => value == "*" || value.split(':').count() >= ARN_FIELDS,
        }
    }

    /// Whether a value of a policy agrees with few requests.
    pub(super) fn is_narrow(self, value: &str) -> bool {
        match self {
            Self::Ip { .. } => Network::parse(value).is_some_and(|network| network.is_narrow()),
            _ => true,
        }
    }

    /// Whether a value of a request agrees with one of the policy.
    pub(super) fn compare(
        self,
        value: &str,
        wanted: &Text,
        context: &PolicyContext,
        steps: &Steps,
    ) -> bool {
        if let Self::Like { .. } = self {
            return wanted.matches(value, context, steps);
        }
        let Some(text) = wanted.resolved(context).filter(|text| steps.take(text.len() + 1)) else {
            return false;
        };
        let both = |left: Option<f64>, right: Option<f64>, order: Order| {
            left.zip(right).is_some_and(|(left, right)| order.holds(&left, &right))
        };
        match self {
            Self::String { ignores_case: true, .. } => value.to_lowercase() == text.to_lowercase(),
            Self::Bool => value.eq_ignore_ascii_case(&text),
            Self::String { .. } | Self::Binary => value == text,
            Self::Numeric(order) => both(number(value), number(&text), order),
            Self::Date(order) => both(instant(value), instant(&text), order),
            Self::Ip { .. } => {
                let address = value.parse::<IpAddr>().ok();
                let network = Network::parse(&text);
                address.zip(network).is_some_and(|(address, network)| network.has(address))
            }
            Self::Arn { .. } => arn_matches(wanted, value, context, steps),
            // Conditions look at keys for these two themselves.
            Self::Like { .. } | Self::Null => false,
        }
    }
}

/// Fields of an ARN, of which the last may hold colons.
const ARN_FIELDS: usize = 6;

/// Field by field, so that no wildcard reaches over a colon but in the last.
fn arn_matches(wanted: &Text, value: &str, context: &PolicyContext, steps: &Steps) -> bool {
    use super::pattern::Symbol;
    let Some(pattern) = wanted.pattern(context) else { return false };
    if pattern == [Symbol::Run] {
        return true;
    }
    let fields: Vec<&[Symbol]> =
        pattern.splitn(ARN_FIELDS, |symbol| *symbol == Symbol::Char(':')).collect();
    let values: Vec<&str> = value.splitn(ARN_FIELDS, ':').collect();
    fields.len() == ARN_FIELDS
        && values.len() == ARN_FIELDS
        && fields.iter().zip(values).all(|(field, value)| matches(field, value, steps))
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|number| number.is_finite())
}

/// Seconds since 1970: a date of ISO 8601, or the number itself.
fn instant(text: &str) -> Option<f64> {
    let text = text.trim();
    if let Some(seconds) = number(text) {
        return Some(seconds);
    }
    if let Ok(at) = OffsetDateTime::parse(text, &Iso8601::PARSING) {
        return Some(at.unix_timestamp_nanos() as f64 / 1e9);
    }
    let day = Date::parse(text, format_description!("[year]-[month]-[day]")).ok()?;
    Some(day.midnight().assume_utc().unix_timestamp() as f64)
}

/// Addresses that start alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => {
                let is_number = bits.bytes().all(|byte| byte.is_ascii_digit());
                (address, Some(bits.parse::<u32>().ok().filter(|_| is_number)?))
            }
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        (bits <= width).then_some(Self { address, bits })
    }

    fn has(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - self.bits).unwrap_or_default();
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - self.bits).unwrap_or_default();
                network.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }

    /// AWS calls what is wider public.
    fn is_narrow(self) -> bool {
        self.bits >= if self.address.is_ipv4() { 8 } else { 32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agrees(name: &str, value: &str, wanted: &str) -> bool {
        let operator = Operator::named(name).unwrap();
        assert!(operator.can_read(wanted), "{name} {wanted}");
        let text = Text::parse(wanted, true).unwrap();
        let agrees = operator.compare(value, &text, &PolicyContext::default(), &Steps::new());
        agrees != operator.is_negated()
    }

    #[test]
    fn operators_compare_as_documented() {
        for (name, value, wanted, expected) in [
            ("StringEquals", "a", "a", true),
            ("StringEquals", "A", "a", false),
            ("StringEquals", "ab", "a*", false),
            ("StringNotEquals", "b", "a", true),
            ("StringEqualsIgnoreCase", "ÄB", "äb", true),
            ("StringNotEqualsIgnoreCase", "AB", "ab", false),
            ("StringLike", "home/ann/x", "home/*", true),
            ("StringLike", "a", "A", false),
            ("StringNotLike", "home/ann", "home/*", false),
            ("NumericEquals", "10", "10.0", true),
            ("NumericNotEquals", "10", "10", false),
            ("NumericLessThanEquals", "10", "10", true),
            ("NumericGreaterThan", "9", "10", false),
            ("NumericLessThan", "x", "10", false),
            ("DateLessThan", "2013-06-30T00:00:00Z", "2013-07-01", true),
            ("DateGreaterThan", "2013-06-30T01:00:00Z", "2013-06-30T02:30:00+02:00", true),
            ("DateGreaterThanEquals", "1372550400", "2013-06-30T00:00:00Z", true),
            ("DateNotEquals", "2013-06-30T00:00:00Z", "1372550400", false),
            ("Bool", "true", "True", true),
            ("Bool", "false", "true", false),
            ("BinaryEquals", "QmluYXJ5", "QmluYXJ5", true),
            ("IpAddress", "203.0.113.9", "203.0.113.0/24", true),
            ("IpAddress", "203.0.114.9", "203.0.113.0/24", false),
            ("IpAddress", "::ffff:203.0.113.9", "203.0.113.9", true),
            ("IpAddress", "2001:db8::1", "2001:DB8:1234:5678::/32", true),
            ("IpAddress", "8.8.8.8", "0.0.0.0/0", true),
            ("IpAddress", "2001:db8::1", "0.0.0.0/0", false),
            ("NotIpAddress", "203.0.113.9", "203.0.113.0/24", false),
            ("ArnLike", "arn:aws:iam::000000000002:user/ann", "arn:aws:iam::*:user/*", true),
            ("ArnEquals", "arn:aws:iam::000000000002:user/ann", "arn:aws:iam:*", false),
            ("ArnLike", "arn:aws:iam::000000000002:user/ann", "*", true),
            ("ArnNotLike", "arn:aws:iam::000000000002:root", "arn:aws:iam::*:user/*", true),
        ] {
            if name == "ArnEquals" && !Operator::named(name).unwrap().can_read(wanted) {
                assert!(!expected);
                continue;
            }
            assert_eq!(agrees(name, value, wanted), expected, "{name} {value} {wanted}");
        }
    }

    #[test]
    fn wildcards_of_arns_do_not_reach_over_colons() {
        let wanted = Text::parse("arn:aws:s3:::a*:x", true).unwrap();
        let compare = |value: &str| {
            let operator = Operator::Arn { negated: false };
            operator.compare(value, &wanted, &PolicyContext::default(), &Steps::new())
        };
        assert!(compare("arn:aws:s3:::ab:x"));
        let wanted = Text::parse("arn:*:s3:::x", true).unwrap();
        let operator = Operator::Arn { negated: false };
        let compare = |value: &str| {
            operator.compare(value, &wanted, &PolicyContext::default(), &Steps::new())
        };
        assert!(compare("arn:aws:s3:::x"));
        assert!(!compare("arn:aws:iam:s3:::x"));
    }

    #[test]
    fn values_that_cannot_be_read_are_told() {
        for (name, value) in [
            ("NumericEquals", "ten"),
            ("NumericEquals", "NaN"),
            ("DateEquals", "yesterday"),
            ("Bool", "yes"),
            ("Null", "1"),
            ("IpAddress", "300.0.0.1"),
            ("IpAddress", "10.0.0.0/33"),
            ("IpAddress", "10.0.0.0/+8"),
            ("IpAddress", "*"),
            ("ArnLike", "ann"),
        ] {
            assert!(!Operator::named(name).unwrap().can_read(value), "{name} {value}");
        }
        for name in ["", "StringMatches", "Numeric", "DateLike", "NullIfExists"] {
            assert_eq!(Operator::named(name), None, "{name}");
        }
    }

    #[test]
    fn wide_networks_are_not_narrow() {
        let narrow = |text| Network::parse(text).unwrap().is_narrow();
        assert!(narrow("10.0.0.0/8") && narrow("2001:db8::/32") && narrow("10.1.2.3"));
        assert!(!narrow("10.0.0.0/7") && !narrow("2001:db8::/31") && !narrow("0.0.0.0/0"));
    }
}
