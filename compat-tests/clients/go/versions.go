package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func init() {
	scenarios["versions_and_delete_markers"] = versionsAndMarkers
	scenarios["versions_are_listed_in_pages"] = versionPages
	scenarios["versions_are_deleted_in_batches"] = versionBatches
	scenarios["object_lock"] = objectLock
	scenarios["terraform_state_lock"] = terraformLock
}

// A client and a bucket with versioning.
func beginVersioned(ctx context.Context) (*s3.Client, *string, error) {
	c, bucket, err := begin(ctx)
	if err != nil {
		return nil, nil, err
	}
	return c, bucket, setVersioning(ctx, c, bucket, types.BucketVersioningStatusEnabled)
}

func setVersioning(ctx context.Context, c *s3.Client, bucket *string, status types.BucketVersioningStatus) error {
	_, err := c.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
		Bucket: bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: status},
	})
	return err
}

func readVersion(ctx context.Context, c *s3.Client, bucket *string, key string, version *string) (string, error) {
	got, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: &key, VersionId: version})
	if err != nil {
		return "", err
	}
	defer got.Body.Close()
	data, err := io.ReadAll(got.Body)
	return string(data), err
}

func expectVersion(ctx context.Context, c *s3.Client, bucket *string, key string, version *string, wanted string) error {
	data, err := readVersion(ctx, c, bucket, key, version)
	if err != nil {
		return fmt.Errorf("read %q: %w", key, err)
	}
	return expect(fmt.Sprintf("%q is %q, wanted %q", key, data, wanted), data == wanted)
}

func versionsAndMarkers(ctx context.Context) error {
	c, bucket, err := begin(ctx)
	if err != nil {
		return err
	}
	if _, err := put(ctx, c, bucket, "k", []byte("before")); err != nil {
		return err
	}
	if err := setVersioning(ctx, c, bucket, types.BucketVersioningStatusEnabled); err != nil {
		return err
	}
	sent, err := put(ctx, c, bucket, "k", []byte("one"))
	if err != nil {
		return err
	}
	one := sent.VersionId
	deleted, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: aws.String("k")})
	if err != nil {
		return err
	}
	if err := expect("a delete makes a marker", aws.ToBool(deleted.DeleteMarker)); err != nil {
		return err
	}
	_, err = read(ctx, c, bucket, "k")
	var noSuchKey *types.NoSuchKey
	if err := expect(fmt.Sprintf("wanted NoSuchKey, got %v", err), errors.As(err, &noSuchKey)); err != nil {
		return err
	}
	_, err = readVersion(ctx, c, bucket, "k", deleted.VersionId)
	if err := expectCode(err, "MethodNotAllowed"); err != nil {
		return err
	}
	if err := expectVersion(ctx, c, bucket, "k", one, "one"); err != nil {
		return err
	}
	if err := expectVersion(ctx, c, bucket, "k", aws.String("null"), "before"); err != nil {
		return err
	}
	for _, version := range []*string{deleted.VersionId, one} {
		if _, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: aws.String("k"), VersionId: version}); err != nil {
			return err
		}
	}
	_, err = readVersion(ctx, c, bucket, "k", one)
	if err := expectCode(err, "NoSuchVersion"); err != nil {
		return err
	}
	if err := expectBody(ctx, c, bucket, "k", []byte("before")); err != nil {
		return err
	}
	if err := setVersioning(ctx, c, bucket, types.BucketVersioningStatusSuspended); err != nil {
		return err
	}
	if _, err := put(ctx, c, bucket, "k", []byte("suspended")); err != nil {
		return err
	}
	status, err := c.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: bucket})
	if err != nil {
		return err
	}
	if err := expect("suspended", status.Status == types.BucketVersioningStatusSuspended); err != nil {
		return err
	}
	return expectVersion(ctx, c, bucket, "k", aws.String("null"), "suspended")
}

func versionPages(ctx context.Context) error {
	c, bucket, err := beginVersioned(ctx)
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for n := range 6 {
		key := fmt.Sprintf("dir %d/ü", n%3)
		sent, err := put(ctx, c, bucket, key, []byte("x"))
		if err != nil {
			return err
		}
		wanted[key+" "+*sent.VersionId] = true
	}
	deleted, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: aws.String("dir 1/ü")})
	if err != nil {
		return err
	}
	wanted["dir 1/ü "+*deleted.VersionId] = true
	found, latest, pages := map[string]bool{}, 0, 0
	lister := s3.NewListObjectVersionsPaginator(c, &s3.ListObjectVersionsInput{Bucket: bucket, MaxKeys: aws.Int32(2)})
	for lister.HasMorePages() {
		page, err := lister.NextPage(ctx)
		if err != nil {
			return err
		}
		pages++
		for _, version := range page.Versions {
			found[*version.Key+" "+*version.VersionId] = true
			if *version.IsLatest {
				latest++
			}
		}
		for _, marker := range page.DeleteMarkers {
			found[*marker.Key+" "+*marker.VersionId] = true
			if *marker.IsLatest {
				latest++
			}
		}
	}
	for entry := range wanted {
		if !found[entry] {
			return fmt.Errorf("not listed: %q of %v", entry, found)
		}
	}
	ok := len(found) == 7 && pages == 4 && latest == 3
	return expect(fmt.Sprintf("%d entries on %d pages, %d latest", len(found), pages, latest), ok)
}

func versionBatches(ctx context.Context) error {
	c, bucket, err := beginVersioned(ctx)
	if err != nil {
		return err
	}
	var objects []types.ObjectIdentifier
	for n := range 20 {
		sent, err := put(ctx, c, bucket, fmt.Sprint(n%3), []byte("x"))
		if err != nil {
			return err
		}
		objects = append(objects, types.ObjectIdentifier{Key: aws.String(fmt.Sprint(n % 3)), VersionId: sent.VersionId})
	}
	objects = append(objects, types.ObjectIdentifier{Key: aws.String("never")})
	answer, err := c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{Objects: objects}})
	if err != nil {
		return err
	}
	if err := expect("all are deleted", len(answer.Deleted) == 21 && len(answer.Errors) == 0); err != nil {
		return err
	}
	_, err = c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: bucket})
	if err := expectCode(err, "BucketNotEmpty"); err != nil {
		return err
	}
	for _, deleted := range answer.Deleted {
		if *deleted.Key == "never" {
			_, err = c.DeleteObject(ctx, &s3.DeleteObjectInput{
				Bucket: bucket, Key: deleted.Key, VersionId: deleted.DeleteMarkerVersionId,
			})
			if err != nil {
				return err
			}
		}
	}
	_, err = c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: bucket})
	return err
}

func objectLock(ctx context.Context) error {
	c, err := client(ctx)
	if err != nil {
		return err
	}
	bucket := bucketName()
	_, err = c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket, ObjectLockEnabledForBucket: aws.Bool(true)})
	if err != nil {
		return err
	}
	_, err = c.PutObjectLockConfiguration(ctx, &s3.PutObjectLockConfigurationInput{
		Bucket: bucket,
		ObjectLockConfiguration: &types.ObjectLockConfiguration{
			ObjectLockEnabled: types.ObjectLockEnabledEnabled,
			Rule: &types.ObjectLockRule{DefaultRetention: &types.DefaultRetention{
				Mode: types.ObjectLockRetentionModeGovernance, Days: aws.Int32(2),
			}},
		},
	})
	if err != nil {
		return err
	}
	sent, err := put(ctx, c, bucket, "k", []byte("locked"))
	if err != nil {
		return err
	}
	key := aws.String("k")
	retention, err := c.GetObjectRetention(ctx, &s3.GetObjectRetentionInput{Bucket: bucket, Key: key, VersionId: sent.VersionId})
	if err != nil {
		return err
	}
	left := time.Until(*retention.Retention.RetainUntilDate)
	inTwoDays := left > 47*time.Hour && left < 49*time.Hour
	if err := expect(fmt.Sprintf("retained for %v", left), inTwoDays && retention.Retention.Mode == types.ObjectLockRetentionModeGovernance); err != nil {
		return err
	}
	remove := func(bypass bool) error {
		_, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{
			Bucket: bucket, Key: key, VersionId: sent.VersionId, BypassGovernanceRetention: aws.Bool(bypass),
		})
		return err
	}
	if err := expectCode(remove(false), "AccessDenied"); err != nil {
		return err
	}
	hold := func(status types.ObjectLockLegalHoldStatus) error {
		_, err := c.PutObjectLegalHold(ctx, &s3.PutObjectLegalHoldInput{
			Bucket: bucket, Key: key, VersionId: sent.VersionId, LegalHold: &types.ObjectLockLegalHold{Status: status},
		})
		return err
	}
	if err := hold(types.ObjectLockLegalHoldStatusOn); err != nil {
		return err
	}
	if err := expectCode(remove(true), "AccessDenied"); err != nil {
		return err
	}
	head, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: key})
	if err != nil {
		return err
	}
	if err := expect("held", head.ObjectLockLegalHoldStatus == types.ObjectLockLegalHoldStatusOn); err != nil {
		return err
	}
	if err := hold(types.ObjectLockLegalHoldStatusOff); err != nil {
		return err
	}
	until := time.Now().Add(24 * time.Hour)
	_, err = c.PutObject(ctx, &s3.PutObjectInput{
		Bucket: bucket, Key: aws.String("compliant"), Body: strings.NewReader("x"),
		ObjectLockMode: types.ObjectLockModeCompliance, ObjectLockRetainUntilDate: &until,
	})
	if err != nil {
		return err
	}
	_, err = c.PutObjectRetention(ctx, &s3.PutObjectRetentionInput{
		Bucket: bucket, Key: aws.String("compliant"), BypassGovernanceRetention: aws.Bool(true),
		Retention: &types.ObjectLockRetention{
			Mode: types.ObjectLockRetentionModeGovernance, RetainUntilDate: aws.Time(until.Add(time.Hour)),
		},
	})
	if err := expectCode(err, "AccessDenied"); err != nil {
		return err
	}
	return remove(true)
}

// Terraform's S3 backend with `use_lockfile`: the state has a lock file beside it, made only if
// there is none and removed by the holder. Its state is versioned.
func terraformLock(ctx context.Context) error {
	c, bucket, err := beginVersioned(ctx)
	if err != nil {
		return err
	}
	lockKey := aws.String("env/terraform.tfstate.tflock")
	lock := func(holder string) (*string, error) {
		sent, err := c.PutObject(ctx, &s3.PutObjectInput{
			Bucket: bucket, Key: lockKey, Body: strings.NewReader(holder),
			ContentType: aws.String("application/json"), IfNoneMatch: aws.String("*"),
		})
		if err != nil {
			return nil, err
		}
		return sent.ETag, nil
	}
	const rounds, writers = 4, 6
	for round := range rounds {
		type outcome struct {
			holder string
			tag    *string
			err    error
		}
		outcomes := make(chan outcome, writers)
		for n := range writers {
			go func() {
				holder := fmt.Sprintf(`{"ID":"%d-%d"}`, round, n)
				tag, err := lock(holder)
				outcomes <- outcome{holder, tag, err}
			}()
		}
		var won []outcome
		for range writers {
			result := <-outcomes
			if result.err == nil {
				won = append(won, result)
			} else if expectCode(result.err, "PreconditionFailed") != nil && expectCode(result.err, "ConditionalRequestConflict") != nil {
				return result.err
			}
		}
		if err := expect(fmt.Sprintf("%d writers have the lock", len(won)), len(won) == 1); err != nil {
			return err
		}
		if err := expectBody(ctx, c, bucket, *lockKey, []byte(won[0].holder)); err != nil {
			return err
		}
		if _, err := put(ctx, c, bucket, "env/terraform.tfstate", []byte(won[0].holder)); err != nil {
			return err
		}
		remove := func(tag *string) error {
			_, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: lockKey, IfMatch: tag})
			return err
		}
		if err := expectCode(remove(aws.String(etag([]byte("another holder")))), "PreconditionFailed"); err != nil {
			return err
		}
		if err := remove(won[0].tag); err != nil {
			return err
		}
	}
	states, err := c.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: bucket, Prefix: aws.String("env/terraform.tfstate")})
	if err != nil {
		return err
	}
	// Each round leaves a state, a lock file and the marker above it.
	ok := len(states.Versions) == 2*rounds && len(states.DeleteMarkers) == rounds
	return expect(fmt.Sprintf("%d versions, %d markers", len(states.Versions), len(states.DeleteMarkers)), ok)
}

// The body of an answer, whole.
func whole(body io.ReadCloser) ([]byte, error) {
	defer body.Close()
	var buffer bytes.Buffer
	_, err := buffer.ReadFrom(body)
	return buffer.Bytes(), err
}
