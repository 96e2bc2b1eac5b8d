//! The query of a request.

use crate::{
    error::{Code, Failure, Outcome},
    percent,
};

/// One parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parameter {
    /// Its decoded name.
    pub(crate) name: String,
    /// Its decoded value; empty without one.
    pub(crate) value: String,
    /// Whether it was written with `=`. Sub-resources are not.
    pub(crate) valued: bool,
}

/// Decoded parameters in the order given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query(Vec<Parameter>);

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    /// `InvalidURI` when it is not percent-encoded UTF-8.
    pub(crate) fn parse(text: Option<&str>) -> Outcome<Self> {
        let pairs = text.unwrap_or_default().split('&');
        pairs
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Some(Parameter {
                    name: percent::decode_query(name)?,
                    value: percent::decode_query(value)?,
                    valued: pair.contains('='),
                })
            })
            .collect::<Option<Vec<Parameter>>>()
            .map(Self)
            .ok_or_else(|| Failure::new(Code::InvalidUri))
    }

    /// All parameters.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Parameter> {
        self.0.iter()
    }

    /// Whether a parameter is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|parameter| parameter.name == name)
    }

    /// The first value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|parameter| parameter.name == name);
        found.map(|parameter| parameter.value.as_str())
    }

    /// The value of a parameter, where it is there and not empty.
    pub(crate) fn get_nonempty(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// Reads a count: absent or empty gives `default`, anything above is cut to it.
    ///
    /// # Errors
    /// `InvalidArgument` when it is not a whole number of 0 to 2³¹−1.
    pub(crate) fn count(&self, name: &'static str, default: usize) -> Outcome<usize> {
        let Some(text) = self.get_nonempty(name) else {
            return Ok(default);
        };
        let invalid = |message: &'static str| Failure::invalid_argument(name, text, message);
        let value: i64 = text
            .parse()
            .map_err(|_| invalid("Provided value not an integer or within integer range"))?;
        let value = i32::try_from(value)
            .map_err(|_| invalid("Provided value not an integer or within integer range"))?;
        let value = usize::try_from(value)
            .map_err(|_| invalid("Argument must be an integer between 0 and 2147483647"))?;
        Ok(value.min(default))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::parse(Some(text)).unwrap()
    }

    #[test]
    fn names_and_values_are_decoded() {
        let query = query("prefix=a%2Fb+c&tagging&x=&&empty");
        assert_eq!(query.get("prefix"), Some("a/b c"));
        assert_eq!(query.get("tagging"), Some(""));
        assert_eq!(query.get_nonempty("tagging"), None);
        let valued: Vec<bool> = query.iter().map(|parameter| parameter.valued).collect();
        assert_eq!(valued, [true, false, true, false]);
        assert_eq!(Query::parse(Some("a=%f")).unwrap_err().code(), Code::InvalidUri);
        assert_eq!(Query::parse(None).unwrap(), Query::default());
    }

    #[test]
    fn counts_are_clamped_and_garbage_is_refused() {
        assert_eq!(query("max-keys=7").count("max-keys", 1000).unwrap(), 7);
        assert_eq!(query("max-keys=0").count("max-keys", 1000).unwrap(), 0);
        assert_eq!(query("max-keys=5000").count("max-keys", 1000).unwrap(), 1000);
        assert_eq!(query("max-keys=").count("max-keys", 1000).unwrap(), 1000);
        assert_eq!(query("").count("max-keys", 1000).unwrap(), 1000);
        for text in ["max-keys=-1", "max-keys=x", "max-keys=1.5", "max-keys=2147483648"] {
            let failure = query(text).count("max-keys", 1000).unwrap_err();
            assert_eq!(failure.code(), Code::InvalidArgument, "{text}");
        }
    }
}
