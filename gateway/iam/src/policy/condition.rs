//! Conditions of a statement: an operator, a key, and the values it is compared with.
//!
//! Invariants:
//! - a key that is not known fulfils only what is negated, `…IfExists`, `ForAllValues` and
//!   `Null: true`, as in AWS;
//! - values that an operator cannot read are refused when the policy is set; behind a variable they
//!   match nothing.

use super::{
    Malformed,
    context::{PolicyContext, normal_key},
    json::Json,
    key,
    operator::Operator,
    pattern::Steps,
    text::Text,
};

/// One condition. All of a statement's must hold.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    operator: Operator,
    quantifier: Quantifier,
    if_exists: bool,
    /// In its normal form.
    key: String,
    /// Any of them may hold.
    values: Vec<Text>,
}

/// How a key of several values is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantifier {
    /// One value is expected.
    None,
    /// Each value of the request must hold.
    All,
    /// Some value of the request must hold.
    Any,
}

/// Reads `Condition`.
pub(super) fn parse(json: &Json, has_variables: bool) -> Result<Vec<Condition>, Malformed> {
    let Json::Object(operators) = json else {
        return Err(Malformed::Condition);
    };
    let mut conditions = Vec::new();
    for (name, keys) in operators {
        let Json::Object(keys) = keys else {
            return Err(Malformed::Condition);
        };
        for (key, values) in keys {
            conditions.push(one(name, key, values, has_variables)?);
        }
    }
    Ok(conditions)
}

fn one(name: &str, key: &str, values: &Json, has_variables: bool) -> Result<Condition, Malformed> {
    let unknown = || Malformed::ConditionType { name: name.to_owned() };
    let (quantifier, rest) = match name.split_once(':') {
        None => (Quantifier::None, name),
        Some(("ForAllValues", rest)) => (Quantifier::All, rest),
        Some(("ForAnyValue", rest)) => (Quantifier::Any, rest),
        Some(_) => return Err(unknown()),
    };
    let (rest, if_exists) = match rest.strip_suffix("IfExists") {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let operator = Operator::named(rest).ok_or_else(unknown)?;
    if operator == Operator::Null && (if_exists || quantifier != Quantifier::None) {
        return Err(unknown());
    }
    if !key::is_known(key) {
        return Err(Malformed::ConditionKey);
    }
    let invalid = || Malformed::ConditionValue { key: key.to_owned() };
    let mut texts = Vec::new();
    for value in values.one_or_many() {
        let value = value.scalar().ok_or_else(invalid)?;
        let text = Text::parse(&value, has_variables).ok_or_else(invalid)?;
        // What a variable stands for is read when it is known.
        let is_settled = !has_variables || !value.contains("${");
        if is_settled && !operator.can_read(&value) {
            return Err(invalid());
        }
        texts.push(text);
    }
    if texts.is_empty() {
        return Err(invalid());
    }
    Ok(Condition { operator, quantifier, if_exists, key: normal_key(key), values: texts })
}

impl Condition {
    /// Whether it holds.
    pub(super) fn holds(&self, context: &PolicyContext, steps: &Steps) -> bool {
        let found = context.get(&self.key);
        if self.operator == Operator::Null {
            let wanted = if found.is_some() { "false" } else { "true" };
            let is = |text: &Text| {
                text.resolved(context).is_some_and(|text| text.eq_ignore_ascii_case(wanted))
            };
            return self.values.iter().any(is);
        }
        let Some(found) = found.filter(|found| !found.is_empty()) else {
            let negated = self.operator.is_negated() && self.quantifier == Quantifier::None;
            return self.if_exists || negated || self.quantifier == Quantifier::All;
        };
        let is_any = |value: &String| {
            self.values.iter().any(|text| self.operator.compare(value, text, context, steps))
        };
        match (self.quantifier, self.operator.is_negated()) {
            (Quantifier::None | Quantifier::Any, false) => found.iter().any(is_any),
            (Quantifier::All, false) => found.iter().all(is_any),
            (Quantifier::None | Quantifier::All, true) => !found.iter().any(is_any),
            (Quantifier::Any, true) => !found.iter().all(is_any),
        }
    }

    /// Whether it looks at a key that starts with `prefix`.
    pub(super) fn mentions(&self, prefix: &str) -> bool {
        self.key.starts_with(prefix) || self.values.iter().any(|text| text.mentions(prefix))
    }

    /// Whether it leaves only requests from places that are named: what AWS calls not public.
    pub(super) fn is_narrow(&self) -> bool {
        let positive = !self.operator.is_negated() && self.operator != Operator::Null;
        let counts = !self.if_exists && self.quantifier != Quantifier::All;
        positive
            && counts
            && key::narrows(&self.key)
            && self
                .values
                .iter()
                .all(|text| text.fixed().is_some_and(|text| self.operator.is_narrow(&text)))
    }
}
