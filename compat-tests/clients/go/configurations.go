package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func init() {
	scenarios["lifecycle_rules"] = lifecycleRules
	scenarios["customer_keys"] = customerKeys
	scenarios["key_service_and_default_encryption"] = keyService
	scenarios["cors_website_and_tagging"] = corsWebsiteTagging
	scenarios["other_configurations"] = otherConfigurations
	scenarios["policies_let_anybody_in"] = publicPolicy
	scenarios["objects_are_renamed"] = renames
}

func expectSame(what string, found, wanted any) error {
	return expect(fmt.Sprintf("%s: got %+v, wanted %+v", what, found, wanted), reflect.DeepEqual(found, wanted))
}

func lifecycleRules(ctx context.Context) error {
	c, bucket, err := begin(ctx)
	if err != nil {
		return err
	}
	_, err = c.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: bucket})
	if err := expectCode(err, "NoSuchLifecycleConfiguration"); err != nil {
		return err
	}
	rules := []types.LifecycleRule{
		{
			ID: aws.String("one"), Status: types.ExpirationStatusEnabled,
			Filter:     &types.LifecycleRuleFilter{Prefix: aws.String("logs/")},
			Expiration: &types.LifecycleExpiration{Days: aws.Int32(30)},
		},
		{
			ID: aws.String("two"), Status: types.ExpirationStatusDisabled,
			Filter: &types.LifecycleRuleFilter{And: &types.LifecycleRuleAndOperator{
				Prefix:                aws.String("v/"),
				ObjectSizeGreaterThan: aws.Int64(5),
			}},
			NoncurrentVersionExpiration: &types.NoncurrentVersionExpiration{
				NoncurrentDays: aws.Int32(3), NewerNoncurrentVersions: aws.Int32(4),
			},
		},
	}
	store := func(rules []types.LifecycleRule) error {
		_, err := c.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{
			Bucket: bucket, LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: rules},
		})
		return err
	}
	if err := store(rules); err != nil {
		return err
	}
	twice := []types.LifecycleRule{rules[0], rules[0]}
	if err := expectCode(store(twice), "InvalidArgument"); err != nil {
		return err
	}
	got, err := c.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: bucket})
	if err != nil {
		return err
	}
	if err := expectSame("rules", got.Rules, rules); err != nil {
		return err
	}
	sent, err := put(ctx, c, bucket, "logs/a", []byte("x"))
	if err != nil {
		return err
	}
	if err := expect("an expiration is announced", strings.Contains(aws.ToString(sent.Expiration), `rule-id="one"`)); err != nil {
		return err
	}
	_, err = c.DeleteBucketLifecycle(ctx, &s3.DeleteBucketLifecycleInput{Bucket: bucket})
	return err
}

func customerKeys(ctx context.Context) error {
	c, bucket, err := begin(ctx)
	if err != nil {
		return err
	}
	raw := payload(77, 32)
	sum := md5.Sum(raw)
	algorithm := aws.String("AES256")
	key, digest := aws.String(base64.StdEncoding.EncodeToString(raw)), aws.String(base64.StdEncoding.EncodeToString(sum[:]))
	data := payload(78, 6*mib)
	_, err = c.PutObject(ctx, &s3.PutObjectInput{
		Bucket: bucket, Key: aws.String("k"), Body: bytes.NewReader(data),
		SSECustomerAlgorithm: algorithm, SSECustomerKey: key, SSECustomerKeyMD5: digest,
	})
	if err != nil {
		return err
	}
	got, err := c.GetObject(ctx, &s3.GetObjectInput{
		Bucket: bucket, Key: aws.String("k"),
		SSECustomerAlgorithm: algorithm, SSECustomerKey: key, SSECustomerKeyMD5: digest,
	})
	if err != nil {
		return err
	}
	body, err := whole(got.Body)
	if err != nil {
		return err
	}
	same := bytes.Equal(body, data) && aws.ToString(got.SSECustomerKeyMD5) == *digest
	if err := expect("the body or the digest differs", same); err != nil {
		return err
	}
	_, err = read(ctx, c, bucket, "k")
	if err := expectCode(err, "InvalidRequest"); err != nil {
		return err
	}
	_, err = c.CopyObject(ctx, &s3.CopyObjectInput{
		Bucket: bucket, Key: aws.String("open"), CopySource: aws.String(*bucket + "/k"),
		CopySourceSSECustomerAlgorithm: algorithm, CopySourceSSECustomerKey: key, CopySourceSSECustomerKeyMD5: digest,
	})
	if err != nil {
		return err
	}
	return expectBody(ctx, c, bucket, "open", data)
}

func keyService(ctx context.Context) error {
	c, bucket, err := begin(ctx)
	if err != nil {
		return err
	}
	name := os.Getenv("COMPAT_KMS_KEY")
	_, err = c.PutBucketEncryption(ctx, &s3.PutBucketEncryptionInput{
		Bucket: bucket,
		ServerSideEncryptionConfiguration: &types.ServerSideEncryptionConfiguration{
			Rules: []types.ServerSideEncryptionRule{{
				ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{
					SSEAlgorithm: types.ServerSideEncryptionAwsKms, KMSMasterKeyID: &name,
				},
				BucketKeyEnabled: aws.Bool(true),
			}},
		},
	})
	if err != nil {
		return err
	}
	data := payload(79, 200_000)
	sent, err := put(ctx, c, bucket, "k", data)
	if err != nil {
		return err
	}
	ok := sent.ServerSideEncryption == types.ServerSideEncryptionAwsKms && strings.HasSuffix(aws.ToString(sent.SSEKMSKeyId), name)
	if err := expect(fmt.Sprintf("encrypted by %s %s", sent.ServerSideEncryption, aws.ToString(sent.SSEKMSKeyId)), ok); err != nil {
		return err
	}
	if err := expectBody(ctx, c, bucket, "k", data); err != nil {
		return err
	}
	_, err = c.PutObject(ctx, &s3.PutObjectInput{
		Bucket: bucket, Key: aws.String("x"), Body: strings.NewReader("x"),
		ServerSideEncryption: types.ServerSideEncryptionAwsKms, SSEKMSKeyId: aws.String("no-such-key"),
	})
	if err := expectCode(err, "KMS.NotFoundException"); err != nil {
		return err
	}
	got, err := c.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: bucket})
	if err != nil {
		return err
	}
	applied := got.ServerSideEncryptionConfiguration.Rules[0].ApplyServerSideEncryptionByDefault
	if err := expect("the default is returned", applied.SSEAlgorithm == types.ServerSideEncryptionAwsKms && *applied.KMSMasterKeyID == name); err != nil {
		return err
	}
	_, err = c.DeleteBucketEncryption(ctx, &s3.DeleteBucketEncryptionInput{Bucket: bucket})
	return err
}

func corsWebsiteTagging(ctx context.Context) error {
	c, bucket, err := begin(ctx)
	if err != nil {
		return err
	}
	rules := []types.CORSRule{{
		AllowedOrigins: []string{"https://example.com"}, AllowedMethods: []string{"GET"},
		AllowedHeaders: []string{"*"}, MaxAgeSeconds: aws.Int32(60), ID: aws.String("r"),
	}}
	_, err = c.PutBucketCors(ctx, &s3.PutBucketCorsInput{Bucket: bucket, CORSConfiguration: &types.CORSConfiguration{CORSRules: rules}})
	if err != nil {
		return err
	}
	cors, err := c.GetBucketCors(ctx, &s3.GetBucketCorsInput{Bucket: bucket})
	if err != nil {
		return err
	}
	if err := expectSame("CORS", cors.CORSRules, rules); err != nil {
		return err
	}
	index := &types.IndexDocument{Suffix: aws.String("index.html")}
	routes := []types.RoutingRule{{
		Condition: &types.Condition{KeyPrefixEquals: aws.String("a/")},
		Redirect:  &types.Redirect{ReplaceKeyPrefixWith: aws.String("b/"), HttpRedirectCode: aws.String("307")},
	}}
	_, err = c.PutBucketWebsite(ctx, &s3.PutBucketWebsiteInput{
		Bucket: bucket, WebsiteConfiguration: &types.WebsiteConfiguration{IndexDocument: index, RoutingRules: routes},
	})
	if err != nil {
		return err
	}
	website, err := c.GetBucketWebsite(ctx, &s3.GetBucketWebsiteInput{Bucket: bucket})
	if err != nil {
		return err
	}
	if err := expectSame("index", website.IndexDocument, index); err != nil {
		return err
	}
	if err := expectSame("routes", website.RoutingRules, routes); err != nil {
		return err
	}
	tags := []types.Tag{{Key: aws.String("b"), Value: aws.String("ü")}, {Key: aws.String("a"), Value: aws.String("")}}
	_, err = c.PutBucketTagging(ctx, &s3.PutBucketTaggingInput{Bucket: bucket, Tagging: &types.Tagging{TagSet: tags}})
	if err != nil {
		return err
	}
	tagging, err := c.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: bucket})
	if err != nil {
		return err
	}
	if err := expectSame("tags", tagging.TagSet, tags); err != nil {
		return err
	}
	if _, err := c.DeleteBucketTagging(ctx, &s3.DeleteBucketTaggingInput{Bucket: bucket}); err != nil {
		return err
	}
	_, err = c.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: bucket})
	return expectCode(err, "NoSuchTagSet")
}

func otherConfigurations(ctx context.Context) error {
	c, bucket, err := begin(ctx)
	if err != nil {
		return err
	}
	_, err = c.PutBucketRequestPayment(ctx, &s3.PutBucketRequestPaymentInput{
		Bucket: bucket, RequestPaymentConfiguration: &types.RequestPaymentConfiguration{Payer: types.PayerRequester},
	})
	if err != nil {
		return err
	}
	payment, err := c.GetBucketRequestPayment(ctx, &s3.GetBucketRequestPaymentInput{Bucket: bucket})
	if err != nil {
		return err
	}
	if err := expect("the requester pays", payment.Payer == types.PayerRequester); err != nil {
		return err
	}
	_, err = c.PutBucketAccelerateConfiguration(ctx, &s3.PutBucketAccelerateConfigurationInput{
		Bucket: bucket, AccelerateConfiguration: &types.AccelerateConfiguration{Status: types.BucketAccelerateStatusEnabled},
	})
	if err != nil {
		return err
	}
	logging := &types.LoggingEnabled{TargetBucket: bucket, TargetPrefix: aws.String("logs/")}
	_, err = c.PutBucketLogging(ctx, &s3.PutBucketLoggingInput{
		Bucket: bucket, BucketLoggingStatus: &types.BucketLoggingStatus{LoggingEnabled: logging},
	})
	if err != nil {
		return err
	}
	logged, err := c.GetBucketLogging(ctx, &s3.GetBucketLoggingInput{Bucket: bucket})
	if err != nil {
		return err
	}
	if err := expect("logging is on", *logged.LoggingEnabled.TargetPrefix == "logs/"); err != nil {
		return err
	}
	filter := &types.MetricsFilterMemberTag{Value: types.Tag{Key: aws.String("k"), Value: aws.String("v")}}
	metrics := &types.MetricsConfiguration{Id: aws.String("m"), Filter: filter}
	_, err = c.PutBucketMetricsConfiguration(ctx, &s3.PutBucketMetricsConfigurationInput{
		Bucket: bucket, Id: metrics.Id, MetricsConfiguration: metrics,
	})
	if err != nil {
		return err
	}
	listed, err := c.ListBucketMetricsConfigurations(ctx, &s3.ListBucketMetricsConfigurationsInput{Bucket: bucket})
	if err != nil {
		return err
	}
	if err := expectSame("metrics", listed.MetricsConfigurationList, []types.MetricsConfiguration{*metrics}); err != nil {
		return err
	}
	tiering := &types.IntelligentTieringConfiguration{
		Id: aws.String("t"), Status: types.IntelligentTieringStatusEnabled,
		Tierings: []types.Tiering{{Days: aws.Int32(90), AccessTier: types.IntelligentTieringAccessTierArchiveAccess}},
	}
	_, err = c.PutBucketIntelligentTieringConfiguration(ctx, &s3.PutBucketIntelligentTieringConfigurationInput{
		Bucket: bucket, Id: tiering.Id, IntelligentTieringConfiguration: tiering,
	})
	if err != nil {
		return err
	}
	got, err := c.GetBucketIntelligentTieringConfiguration(ctx, &s3.GetBucketIntelligentTieringConfigurationInput{Bucket: bucket, Id: tiering.Id})
	if err != nil {
		return err
	}
	if err := expectSame("tiering", got.IntelligentTieringConfiguration, tiering); err != nil {
		return err
	}
	analytics := &types.AnalyticsConfiguration{
		Id: aws.String("a"), StorageClassAnalysis: &types.StorageClassAnalysis{},
		Filter: &types.AnalyticsFilterMemberPrefix{Value: "p/"},
	}
	_, err = c.PutBucketAnalyticsConfiguration(ctx, &s3.PutBucketAnalyticsConfigurationInput{
		Bucket: bucket, Id: analytics.Id, AnalyticsConfiguration: analytics,
	})
	if err != nil {
		return err
	}
	read, err := c.GetBucketAnalyticsConfiguration(ctx, &s3.GetBucketAnalyticsConfigurationInput{Bucket: bucket, Id: analytics.Id})
	if err != nil {
		return err
	}
	return expectSame("analytics", read.AnalyticsConfiguration, analytics)
}

func publicPolicy(ctx context.Context) error {
	c, bucket, err := begin(ctx)
	if err != nil {
		return err
	}
	if _, err := put(ctx, c, bucket, "k", []byte("for all")); err != nil {
		return err
	}
	url := fmt.Sprintf("%s/%s/k", os.Getenv("AWS_ENDPOINT_URL"), *bucket)
	status := func() (int, error) {
		answer, err := http.Get(url)
		if err != nil {
			return 0, err
		}
		return answer.StatusCode, answer.Body.Close()
	}
	if code, err := status(); err != nil || code != 403 {
		return fmt.Errorf("without a policy: %d, %v", code, err)
	}
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::%s/*"}}`, *bucket)
	if _, err := c.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: bucket, Policy: &policy}); err != nil {
		return err
	}
	if code, err := status(); err != nil || code != 200 {
		return fmt.Errorf("with a policy: %d, %v", code, err)
	}
	told, err := c.GetBucketPolicyStatus(ctx, &s3.GetBucketPolicyStatusInput{Bucket: bucket})
	if err != nil {
		return err
	}
	if err := expect("the bucket is public", aws.ToBool(told.PolicyStatus.IsPublic)); err != nil {
		return err
	}
	if _, err := c.DeleteBucketPolicy(ctx, &s3.DeleteBucketPolicyInput{Bucket: bucket}); err != nil {
		return err
	}
	_, err = c.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: bucket})
	return expectCode(err, "NoSuchBucketPolicy")
}

func renames(ctx context.Context) error {
	c, bucket, err := begin(ctx)
	if err != nil {
		return err
	}
	data := payload(80, 3*mib)
	if _, err := put(ctx, c, bucket, "from", data); err != nil {
		return err
	}
	_, err = c.RenameObject(ctx, &s3.RenameObjectInput{
		Bucket: bucket, Key: aws.String("dir/to"), RenameSource: aws.String(*bucket + "/from"),
	})
	if err != nil {
		return err
	}
	if err := expectBody(ctx, c, bucket, "dir/to", data); err != nil {
		return err
	}
	_, err = read(ctx, c, bucket, "from")
	return expectCode(err, "NoSuchKey")
}
