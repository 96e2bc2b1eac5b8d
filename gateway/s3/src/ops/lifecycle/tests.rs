use gateway_meta::record::{Expiration, RuleScope};
use node_proto::UnixMillis;

use super::*;
use crate::xml;

fn read(rules: &str) -> Outcome<LifecycleRecord> {
    let text = format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>");
    read::configuration(&xml::parse(text.as_bytes()).unwrap())
}

fn rule(scope: &str, actions: &str) -> String {
    format!("<Rule><ID>r</ID>{scope}<Status>Enabled</Status>{actions}</Rule>")
}

const DAYS: &str = "<Expiration><Days>3</Days></Expiration>";

/// The code and message that a rule is refused with.
#[track_caller]
fn refusal(rules: &str) -> (Code, String) {
    let failure = read(rules).expect_err(rules);
    (failure.code(), failure.message().to_owned())
}

#[track_caller]
fn assert_refused(rules: &str, code: Code, part: &str) {
    let (found, message) = refusal(rules);
    assert_eq!(found, code, "{message}: {rules}");
    assert!(message.contains(part), "{message}: {rules}");
}

#[test]
fn documents_of_both_generations_come_back_as_they_were() {
    let documents = [
        "<Rule><ID>a</ID><Prefix>logs/</Prefix><Status>Enabled</Status>\
         <Expiration><Days>365</Days></Expiration></Rule>\
         <Rule><ID>b</ID><Prefix></Prefix><Status>Disabled</Status>\
         <Expiration><Date>2030-01-01T00:00:00.000Z</Date></Expiration></Rule>",
        "<Rule><ID>a</ID><Filter></Filter><Status>Enabled</Status>\
         <Transition><Days>30</Days><StorageClass>STANDARD_IA</StorageClass></Transition>\
         <Transition><Days>60</Days><StorageClass>GLACIER</StorageClass></Transition>\
         <Expiration><Days>365</Days></Expiration>\
         <NoncurrentVersionTransition><NoncurrentDays>30</NoncurrentDays>\
         <NewerNoncurrentVersions>2</NewerNoncurrentVersions>\
         <StorageClass>STANDARD_IA</StorageClass></NoncurrentVersionTransition>\
         <NoncurrentVersionExpiration><NoncurrentDays>31</NoncurrentDays>\
         <NewerNoncurrentVersions>100</NewerNoncurrentVersions></NoncurrentVersionExpiration>\
         <AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation>\
         </AbortIncompleteMultipartUpload></Rule>\
         <Rule><ID>b</ID><Filter><Prefix>p</Prefix></Filter><Status>Enabled</Status>\
         <Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>\
         </Rule>\
         <Rule><ID>c</ID><Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>\
         <Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>\
         <Rule><ID>d</ID><Filter><ObjectSizeLessThan>9</ObjectSizeLessThan></Filter>\
         <Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>\
         <Rule><ID>e</ID><Filter><And><Prefix>p</Prefix><Tag><Key>k</Key><Value></Value></Tag>\
         <ObjectSizeGreaterThan>1</ObjectSizeGreaterThan>\
         <ObjectSizeLessThan>9</ObjectSizeLessThan></And></Filter>\
         <Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>",
    ];
    for rules in documents {
        let written = write::configuration(&read(rules).unwrap());
        let body = written.split_once("03-01/\">").unwrap().1;
        assert_eq!(body, format!("{rules}</LifecycleConfiguration>"));
    }
}

#[test]
fn missing_ids_are_made_up_and_differ() {
    let one =
        "<Rule><Filter/><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>";
    let record = read(&one.repeat(3)).unwrap();
    let ids: std::collections::HashSet<&str> =
        record.rules.iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| !id.is_empty() && id.len() <= 255));
}

#[test]
fn dates_are_read_in_the_forms_that_clients_send() {
    for text in [
        "2030-01-01T00:00:00.000Z",
        "2030-01-01T00:00:00Z",
        "2030-01-01T01:00:00+01:00",
        "2030-01-01",
    ] {
        let rules = rule("<Filter/>", &format!("<Expiration><Date>{text}</Date></Expiration>"));
        let at = Some(Expiration::At(UnixMillis(1_893_456_000_000)));
        assert_eq!(read(&rules).unwrap().rules[0].expiration, at, "{text}");
    }
    let bad =
        |text: &str| rule("<Filter/>", &format!("<Expiration><Date>{text}</Date></Expiration>"));
    assert_refused(&bad("2030-01-01T01:00:00Z"), Code::InvalidArgument, "midnight");
    assert_refused(&bad("20300101"), Code::MalformedXml, "");
}

#[test]
fn malformed_rules_are_refused_as_such() {
    let documents = [
        String::new(),
        "<Other/>".to_owned(),
        rule("", DAYS),
        rule("<Prefix/><Filter/>", DAYS),
        rule("<Filter/><Filter/>", DAYS),
        rule("<Filter><Prefix>a</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></Filter>", DAYS),
        rule("<Filter><And/></Filter>", DAYS),
        rule("<Filter><Tag><Key>k</Key></Tag></Filter>", DAYS),
        rule("<Filter><Unknown/></Filter>", DAYS),
        rule("<Filter/>", "<Unknown/>"),
        rule("<Filter/>", "<Expiration/>"),
        rule("<Filter/>", "<Expiration><Days>x</Days></Expiration>"),
        rule("<Filter/>", "<Expiration><Days>1.5</Days></Expiration>"),
        rule("<Filter/>", "<Expiration><Days>2147483648</Days></Expiration>"),
        rule("<Filter/>", &format!("{DAYS}{DAYS}")),
        rule(
            "<Filter/>",
            "<Expiration><Days>1</Days>\
             <ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>",
        ),
        rule(
            "<Filter/>",
            "<Expiration><Days>1</Days><Date>2030-01-01T00:00:00Z</Date></Expiration>",
        ),
        rule(
            "<Filter/>",
            "<Expiration><ExpiredObjectDeleteMarker>yes</ExpiredObjectDeleteMarker></Expiration>",
        ),
        rule(
            "<Filter/>",
            "<NoncurrentVersionExpiration><NewerNoncurrentVersions>1</NewerNoncurrentVersions>\
             </NoncurrentVersionExpiration>",
        ),
        rule(
            "<Filter/>",
            "<Transition><Days>1</Days><StorageClass>STANDARD</StorageClass></Transition>",
        ),
        rule("<Filter/>", "<Transition><StorageClass>GLACIER</StorageClass></Transition>"),
        rule("<Filter/>", DAYS).replace("Enabled", "enabled"),
        rule("<Filter/>", DAYS).replace("<Status>Enabled</Status>", ""),
    ];
    for document in documents {
        assert_eq!(refusal(&document).0, Code::MalformedXml, "{document}");
    }
}

#[test]
fn numbers_out_of_range_are_named() {
    let cases = [
        ("<Expiration><Days>0</Days></Expiration>", "'Days' for Expiration action"),
        ("<Expiration><Days>-1</Days></Expiration>", "must be nonnegative"),
        (
            "<NoncurrentVersionExpiration><NoncurrentDays>0</NoncurrentDays>\
             </NoncurrentVersionExpiration>",
            "'NoncurrentDays' for NoncurrentVersionExpiration action",
        ),
        (
            "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>\
             <NewerNoncurrentVersions>101</NewerNoncurrentVersions></NoncurrentVersionExpiration>",
            "between 1 and 100",
        ),
        (
            "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>\
             <NewerNoncurrentVersions>0</NewerNoncurrentVersions></NoncurrentVersionExpiration>",
            "positive integer",
        ),
        (
            "<AbortIncompleteMultipartUpload><DaysAfterInitiation>0</DaysAfterInitiation>\
             </AbortIncompleteMultipartUpload>",
            "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action",
        ),
    ];
    for (actions, part) in cases {
        assert_refused(&rule("<Filter/>", actions), Code::InvalidArgument, part);
    }
}

#[test]
fn ids_are_unique_and_bounded_and_rules_too() {
    let one = rule("<Filter/>", DAYS);
    assert_refused(&one.repeat(2), Code::InvalidArgument, "Rule ID must be unique");
    let long = one.replace("<ID>r</ID>", &format!("<ID>{}</ID>", "i".repeat(256)));
    assert_refused(&long, Code::InvalidArgument, "255");
    assert!(read(&long.replace("iii", "ii")).is_ok());
    let many = |count| one.replace("<ID>r</ID>", "").repeat(count);
    assert_eq!(read(&many(1000)).unwrap().rules.len(), 1000);
    assert_refused(&many(1001), Code::InvalidRequest, "1000");
}

#[test]
fn what_does_not_go_together_is_refused() {
    let tag = "<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>";
    let size = "<Filter><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan></Filter>";
    let abort = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation>\
                 </AbortIncompleteMultipartUpload>";
    let lone =
        "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>";
    let keep = "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>\
                <NewerNoncurrentVersions>1</NewerNoncurrentVersions></NoncurrentVersionExpiration>";
    let both = |a, b| format!("<Filter><And>{a}{b}</And></Filter>");
    let pair = "<Tag><Key>k</Key><Value>v</Value></Tag>";
    let cases = [
        (rule("<Filter/>", ""), "At least one action"),
        (rule(tag, abort), "cannot be specified with Tags"),
        (rule(size, abort), "cannot be specified with Object Size"),
        (rule(tag, lone), "cannot be specified with Tags"),
        (rule(size, lone), "cannot be specified with Object Size"),
        (rule("<Prefix/>", keep), "Lifecycle V2"),
        (rule(&both(pair, pair), DAYS), "Duplicate Tag Keys"),
        (
            rule(
                &both(
                    "<ObjectSizeGreaterThan>5</ObjectSizeGreaterThan>",
                    "<ObjectSizeLessThan>5</ObjectSizeLessThan>",
                ),
                DAYS,
            ),
            "ObjectSizeLessThan",
        ),
        (
            rule("<Filter/>", DAYS) + &rule("<Prefix/>", DAYS).replace(">r<", ">s<"),
            "Base level prefix cannot be used",
        ),
        (
            rule("<Prefix/>", DAYS) + &rule("<Filter/>", DAYS).replace(">r<", ">s<"),
            "Filter element can only be used",
        ),
        (rule(&format!("<Prefix>{}</Prefix>", "p".repeat(1025)), DAYS), "1024"),
    ];
    for (document, part) in cases {
        assert_refused(&document, Code::InvalidRequest, part);
    }
}

#[test]
fn transitions_follow_the_waterfall() {
    let to = |days: u32, class: &str| {
        format!("<Transition><Days>{days}</Days><StorageClass>{class}</StorageClass></Transition>")
    };
    let argument = |actions: String, part: &str| {
        assert_refused(&rule("<Filter/>", &actions), Code::InvalidArgument, part);
    };
    argument(to(29, "STANDARD_IA"), "greater than or equal to 30");
    argument(to(60, "STANDARD_IA") + &to(89, "GLACIER"), "30 days more");
    argument(to(60, "GLACIER") + &to(60, "DEEP_ARCHIVE"), "greater than");
    argument(to(3, "GLACIER") + DAYS, "in the Expiration action");
    let twice = to(3, "GLACIER") + &to(4, "GLACIER");
    assert_refused(&rule("<Filter/>", &twice), Code::InvalidRequest, "same StorageClass");
    let dated = "<Transition><Date>2030-01-01T00:00:00Z</Date><StorageClass>GLACIER</StorageClass>\
                 </Transition>";
    let mixed = rule("<Filter/>", &format!("{dated}{DAYS}"));
    assert_refused(&mixed, Code::InvalidRequest, "mixed 'Date' and 'Days'");
    let noncurrent = "<NoncurrentVersionTransition><NoncurrentDays>9</NoncurrentDays>\
                      <StorageClass>GLACIER</StorageClass></NoncurrentVersionTransition>\
                      <NoncurrentVersionExpiration><NoncurrentDays>9</NoncurrentDays>\
                      </NoncurrentVersionExpiration>";
    argument(noncurrent.to_owned(), "NoncurrentVersionExpiration");
    assert!(read(&rule("<Filter/>", &(to(0, "GLACIER") + DAYS))).is_ok());
}

#[test]
fn older_rules_keep_their_prefix() {
    let record = read(&rule("<Prefix>a</Prefix>", DAYS)).unwrap();
    assert_eq!(record.rules[0].scope, RuleScope::Prefix("a".to_owned()));
}

#[test]
fn expiry_is_told_as_a_date_and_an_encoded_id() {
    let due = LifecycleDue { at: UnixMillis(1_356_220_800_000), rule: "a b\"c".to_owned() };
    let told = "expiry-date=\"Sun, 23 Dec 2012 00:00:00 GMT\", rule-id=\"a%20b%22c\"";
    assert_eq!(expiry(&due), told);
}
