//! Text of a policy: wildcards, and variables such as `${aws:username}`.
//!
//! Invariants:
//! - what a variable stands for is never read as a wildcard;
//! - text with a variable whose value is not known matches nothing.

use super::{
    context::{PolicyContext, normal_key},
    pattern::{Steps, Symbol, matches, symbols},
};

/// Most variables of one text. Chosen: patterns in use have one or two, and what they stand for
/// must be bounded.
const VARIABLES_MAX: usize = 16;

/// Text that was read.
#[derive(Clone, Debug)]
pub(super) struct Text {
    tokens: Vec<Token>,
}

#[derive(Clone, Debug)]
enum Token {
    /// Characters, of which `*` and `?` may be wildcards.
    Plain(String),
    /// Characters that are none: `${*}`, `${?}` and `${$}`.
    Literal(char),
    /// What is known under a key, else a default.
    Variable { key: String, default: Option<String> },
}

impl Text {
    /// Reads text. Older policies have no variables: what looks like one is plain text.
    pub(super) fn parse(text: &str, has_variables: bool) -> Option<Self> {
        if !has_variables {
            return Some(Self { tokens: vec![Token::Plain(text.to_owned())] });
        }
        let mut tokens = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            tokens.push(Token::Plain(before.to_owned()));
            let (name, behind) = after.split_once('}')?;
            tokens.push(variable(name)?);
            rest = behind;
        }
        tokens.push(Token::Plain(rest.to_owned()));
        let count = tokens.iter().filter(|token| matches!(token, Token::Variable { .. })).count();
        (count <= VARIABLES_MAX).then_some(Self { tokens })
    }

    /// The text, if it means the same in every request and has no wildcards.
    pub(super) fn fixed(&self) -> Option<String> {
        let has_wildcards = |text: &str| text.contains(['*', '?']);
        let mut out = String::new();
        for token in &self.tokens {
            match token {
                Token::Plain(text) if !has_wildcards(text) => out += text,
                Token::Literal(char) => out.push(*char),
                Token::Plain(_) | Token::Variable { .. } => return None,
            }
        }
        Some(out)
    }

    /// Whether it looks at a key that starts with `prefix`.
    pub(super) fn mentions(&self, prefix: &str) -> bool {
        self.tokens.iter().any(|token| match token {
            Token::Variable { key, .. } => key.starts_with(prefix),
            Token::Plain(_) | Token::Literal(_) => false,
        })
    }

    /// The text with its variables replaced, wildcards as they stand.
    pub(super) fn resolved(&self, context: &PolicyContext) -> Option<String> {
        self.tokens.iter().try_fold(String::new(), |mut out, token| {
            match token {
                Token::Plain(text) => out += text,
                Token::Literal(char) => out.push(*char),
                Token::Variable { key, default } => out += &value(context, key, default)?,
            }
            Some(out)
        })
    }

    /// The pattern it is.
    pub(super) fn pattern(&self, context: &PolicyContext) -> Option<Vec<Symbol>> {
        self.tokens.iter().try_fold(Vec::new(), |mut out, token| {
            match token {
                Token::Plain(text) => out.extend(symbols(text)),
                Token::Literal(char) => out.push(Symbol::Char(*char)),
                Token::Variable { key, default } => {
                    out.extend(value(context, key, default)?.chars().map(Symbol::Char));
                }
            }
            Some(out)
        })
    }

    /// Whether `text` is what it describes.
    pub(super) fn matches(&self, text: &str, context: &PolicyContext, steps: &Steps) -> bool {
        self.pattern(context).is_some_and(|pattern| matches(&pattern, text, steps))
    }

    /// Whether it could describe a text that starts with `start`, whatever its variables stand for.
    pub(super) fn may_start_with(&self, start: &str) -> bool {
        let mut wanted = start.chars();
        for token in &self.tokens {
            let plain = match token {
                Token::Variable { .. } => return true,
                Token::Literal(char) => char.to_string(),
                Token::Plain(text) => text.clone(),
            };
            for char in plain.chars() {
                let is_wildcard = matches!(token, Token::Plain(_)) && char == '*';
                let Some(expected) = wanted.next() else { return true };
                let is_any = matches!(token, Token::Plain(_)) && char == '?';
                match () {
                    () if is_wildcard => return true,
                    () if is_any || char == expected => {}
                    () => return false,
                }
            }
        }
        wanted.next().is_none()
    }
}

fn value(context: &PolicyContext, key: &str, default: &Option<String>) -> Option<String> {
    match context.get(key) {
        Some([one]) => Some(one.clone()),
        // What has several values stands for none of them.
        _ => default.clone(),
    }
}

fn variable(text: &str) -> Option<Token> {
    if let "*" | "?" | "$" = text {
        return text.chars().next().map(Token::Literal);
    }
    let (key, default) = match text.split_once(',') {
        None => (text, None),
        Some((key, default)) => {
            let quoted = default.trim().strip_prefix('\'')?.strip_suffix('\'')?;
            (key, Some(quoted.to_owned()))
        }
    };
    let key = normal_key(key.trim());
    let is_key = key.contains(':') && !key.contains(['$', '{', '*', '?']);
    is_key.then_some(Token::Variable { key, default })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(text: &str, subject: &str) -> bool {
        let mut context = PolicyContext::default();
        context.add("aws:username", "an*n");
        let text = Text::parse(text, true).unwrap();
        text.matches(subject, &context, &Steps::new())
    }

    #[test]
    fn variables_are_replaced_and_are_no_wildcards() {
        assert!(matched("home/${aws:username}/*", "home/an*n/k"));
        assert!(matched("home/${AWS:UserName}/*", "home/an*n/k"));
        assert!(!matched("home/${aws:username}/*", "home/anton/k"));
        assert!(!matched("home/${aws:userid}/*", "home//k"));
        assert!(matched("home/${aws:userid, 'nobody'}", "home/nobody"));
        assert!(matched("a${*}b${?}c${$}", "a*b?c$"));
        assert!(!matched("a${*}b", "axb"));
    }

    #[test]
    fn older_policies_have_no_variables() {
        let text = Text::parse("${aws:username}", false).unwrap();
        assert!(text.matches("${aws:username}", &PolicyContext::default(), &Steps::new()));
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        for text in ["${", "a${aws:username", "${}", "${name}", "${aws:x, default}"] {
            assert!(Text::parse(text, true).is_none(), "{text}");
        }
        assert!(Text::parse(&"${aws:username}".repeat(VARIABLES_MAX), true).is_some());
        assert!(Text::parse(&"${aws:username}".repeat(VARIABLES_MAX + 1), true).is_none());
    }

    #[test]
    fn start_is_judged_without_a_request() {
        let may = |text: &str, start: &str| Text::parse(text, true).unwrap().may_start_with(start);
        assert!(may("bucket/*", "bucket/"));
        assert!(may("buck*", "bucket/"));
        assert!(may("bucke?/x", "bucket/"));
        assert!(may("bucket/${aws:username}", "bucket/"));
        assert!(!may("bucket", "bucket/"));
        assert!(!may("other/*", "bucket/"));
    }
}
