//! boto3, current release, default settings: `clients/python/boto3_*.py`.

use std::path::Path;

use compat_tests::clients::{installed, source_dir};
use compat_tests::program::Program;

use crate::scenario::scenarios;

fn boto3(home: &Path) -> Program {
    Program::new(installed("python", "python/bin/python"), home)
        .arg("-B")
        .arg(source_dir().join("python/boto3_client.py"))
}

scenarios! {
    boto3;

    #[test]
    fn another_account_is_refused() {}

    #[test]
    fn another_account_cannot_copy_from_a_foreign_bucket() {}

    #[test]
    fn a_bucket_name_is_taken_for_every_account() {}

    #[test]
    fn wrong_credentials_are_told_apart() {}

    #[test]
    fn buckets_are_made_found_and_removed() {}

    #[test]
    fn operations_on_a_missing_bucket_say_so() {}

    #[test]
    fn a_bucket_with_objects_is_not_removed() {}

    #[test]
    fn making_a_bucket_twice_keeps_its_objects() {}

    #[test]
    fn list_buckets_filters_and_pages() {}

    #[test]
    fn virtual_host_style() {}

    #[test]
    fn every_algorithm_is_verified_stored_and_returned() {}

    #[test]
    fn the_default_checksum_is_crc32() {}

    #[test]
    fn an_object_sent_without_checksum_gets_one() {}

    #[test]
    fn wrong_checksums_are_refused() {}

    #[test]
    fn composite_checksums_of_multipart_uploads() {}

    #[test]
    fn full_object_checksums_of_multipart_uploads() {}

    #[test]
    fn checksum_kinds_that_do_not_exist_are_refused() {}

    #[test]
    fn parts_with_wrong_checksums_are_refused() {}

    #[test]
    fn attributes_describe_objects_and_parts() {}

    #[test]
    fn copies_keep_or_change_their_checksum() {}

    #[test]
    fn put_if_none_match_creates_only_once() {}

    #[test]
    fn put_if_match_replaces_only_what_it_names() {}

    #[test]
    fn concurrent_creates_have_one_winner() {}

    #[test]
    fn complete_multipart_upload_honours_conditions() {}

    #[test]
    fn reads_honour_conditions() {}

    #[test]
    fn copies_honour_source_conditions() {}

    #[test]
    fn copies_honour_destination_conditions() {}

    #[test]
    fn delete_if_match_removes_only_what_it_names() {}

    #[test]
    fn printable_keys_are_literal() {}

    #[test]
    fn control_characters_in_keys_are_literal() {}

    #[test]
    fn a_key_of_1025_bytes_is_refused() {}

    #[test]
    fn keys_that_look_alike_are_different_objects() {}

    #[test]
    fn pages_join_to_the_whole_listing() {}

    #[test]
    fn delimiters_roll_up_common_prefixes() {}

    #[test]
    fn listings_start_after_a_key() {}

    #[test]
    fn entries_describe_their_objects() {}

    #[test]
    fn max_keys_bounds_a_page() {}

    #[test]
    fn pages_survive_writes_between_them() {}

    #[test]
    fn parts_join_in_order_of_their_numbers() {}

    #[test]
    fn a_part_number_reads_one_part() {}

    #[test]
    fn a_part_sent_again_replaces_the_first() {}

    #[test]
    fn parts_left_out_are_left_out() {}

    #[test]
    fn uploads_that_cannot_be_completed() {}

    #[test]
    fn aborted_uploads_are_gone() {}

    #[test]
    fn list_parts_pages() {}

    #[test]
    fn list_multipart_uploads_pages_and_filters() {}

    #[test]
    fn parts_are_copied_from_ranges() {}

    #[test]
    fn part_copies_that_are_refused() {}

    #[test]
    fn completing_replaces_the_object_at_once() {}

    #[test]
    fn put_get_head_delete_roundtrip() {}

    #[test]
    fn overwrite_replaces_body_and_metadata() {}

    #[test]
    fn system_headers_and_user_metadata_come_back() {}

    #[test]
    fn user_metadata_over_two_kib_is_refused() {}

    #[test]
    fn storage_class_is_echoed() {}

    #[test]
    fn ranges_read_exactly_what_they_name() {}

    #[test]
    fn response_headers_can_be_overridden() {}

    #[test]
    fn copy_keeps_or_replaces_metadata() {}

    #[test]
    fn copy_refuses_what_s3_refuses() {}

    #[test]
    fn copy_crosses_buckets() {}

    #[test]
    fn delete_objects_reports_each_key() {}

    #[test]
    fn delete_objects_takes_a_thousand_and_not_more() {}

    #[test]
    fn tags_are_stored_counted_and_removed() {}

    #[test]
    fn illegal_tags_are_refused() {}

    #[test]
    fn upload_and_download_helpers_roundtrip() {}

    #[test]
    fn presigned_get_and_head() {}

    #[test]
    fn presigned_put() {}

    #[test]
    fn presigned_urls_expire() {}

    #[test]
    fn post_policy_uploads() {}

    #[test]
    fn post_policy_answers_as_asked() {}

    #[test]
    fn post_policy_violations_are_refused() {}

    #[test]
    fn versioning_is_enabled_and_suspended() {}

    #[test]
    fn every_put_makes_a_version() {}

    #[test]
    fn a_delete_leaves_a_marker_and_removing_it_restores() {}

    #[test]
    fn deleting_the_newest_version_promotes_the_next() {}

    #[test]
    fn suspended_buckets_write_null_versions() {}

    #[test]
    fn versions_are_listed_in_pages() {}

    #[test]
    fn listed_versions_describe_their_objects() {}

    #[test]
    fn many_versions_are_deleted_at_once() {}

    #[test]
    fn a_thousand_versions_are_deleted_at_once() {}

    #[test]
    fn versions_are_copied_tagged_and_described() {}

    #[test]
    fn multipart_uploads_make_versions() {}

    #[test]
    fn conditions_judge_the_current_version() {}

    #[test]
    fn a_bucket_with_versions_is_not_removed() {}

    #[test]
    fn version_ids_that_are_wrong_are_refused() {}

    #[test]
    fn mfa_delete_is_refused() {}

    #[test]
    fn a_bucket_with_object_lock_is_versioned() {}

    #[test]
    fn compliance_holds_against_everybody() {}

    #[test]
    fn governance_is_bypassed_on_request() {}

    #[test]
    fn a_legal_hold_holds_until_it_is_lifted() {}

    #[test]
    fn default_retention_applies_to_new_versions() {}

    #[test]
    fn wrong_locks_are_refused() {}

    #[test]
    fn a_retention_that_has_ended_holds_nothing() {}

    #[test]
    fn lifecycle_rules_come_back_as_they_were_given() {}

    #[test]
    fn rules_of_the_older_form_and_without_ids() {}

    #[test]
    fn wrong_rules_are_refused_and_the_old_ones_stay() {}

    #[test]
    fn expirations_are_announced() {}

    #[test]
    fn a_customer_key_is_needed_to_read() {}

    #[test]
    fn parts_and_copies_take_customer_keys() {}

    #[test]
    fn transfers_use_a_customer_key() {}

    #[test]
    fn presigned_requests_carry_a_customer_key() {}

    #[test]
    fn kms_encrypts_under_the_default_and_named_keys() {}

    #[test]
    fn wrong_encryption_is_refused() {}

    #[test]
    fn a_bucket_has_default_encryption() {}

    #[test]
    fn s3_encrypts_when_asked() {}

    #[test]
    fn cors_rules_come_back_and_answer_preflights() {}

    #[test]
    fn websites_come_back() {}

    #[test]
    fn bucket_tags_come_back() {}

    #[test]
    fn single_settings_come_back() {}

    #[test]
    fn requesters_pay_with_their_word() {}

    #[test]
    fn logging_goes_to_a_bucket_that_exists() {}

    #[test]
    fn analytics_configurations_come_back() {}

    #[test]
    fn metrics_configurations_come_back() {}

    #[test]
    fn tiering_configurations_come_back() {}

    #[test]
    fn what_comes_later_says_so() {}

    #[test]
    fn objects_are_renamed_in_place() {}

    #[test]
    fn policies_come_back_as_they_were_given() {}

    #[test]
    fn a_public_bucket_is_read_without_credentials() {}

    #[test]
    fn a_public_listing_and_upload() {}

    #[test]
    fn another_account_does_what_it_may() {}

    #[test]
    fn uploads_must_be_encrypted_as_the_policy_says() {}

    #[test]
    fn an_owner_is_not_locked_out() {}

    #[test]
    fn deletion_of_many_judges_each_key() {}

    #[test]
    fn requesters_pay_for_what_they_are_allowed() {}

    #[test]
    fn bypassing_governance_is_a_permission() {}
}
