// Keys and records of S3. The only file that knows how they are spelled.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "blob/blob.h"
#include "kv/db.h"
#include "services/s3/checksum.h"

namespace virga::s3 {

using Tags = std::vector<std::pair<std::string, std::string>>;

// Who hears of a bucket's objects.
struct Notification {
  std::string id, target;           // ARN of a function, queue or topic
  std::vector<std::string> events;  // "s3:ObjectCreated:*"
  std::string prefix, suffix;
  template <class A>
  void fields(A& a) {
    a(1, id), a(2, target), a(3, events), a(4, prefix), a(5, suffix);
  }
};

struct BucketRecord {
  std::string name, account, region;
  Time created;
  Tags tags;
  std::optional<std::string> policy;
  std::vector<Notification> notifications;
  bool event_bus = false;  // the account's default one hears of everything
  template <class A>
  void fields(A& a) {
    a(1, name), a(2, account), a(3, region), a(4, created), a(5, tags), a(6, policy), a(7, notifications),
        a(8, event_bus);
  }
};

// What the client says about an object and gets back with it.
struct Attributes {
  std::string content_type = "binary/octet-stream";
  std::optional<std::string> cache_control, content_disposition, content_encoding, content_language, expires;
  std::map<std::string, std::string> metadata;
  std::string storage_class = "STANDARD";
  template <class A>
  void fields(A& a) {
    a(1, content_type), a(2, cache_control), a(3, content_disposition), a(4, content_encoding), a(5, content_language);
    a(6, expires), a(7, metadata), a(8, storage_class);
  }
};

struct ObjectRecord {
  blob::Ref content;
  std::string etag;  // without quotes
  Time modified;     // whole seconds, as S3 tells it
  Attributes attributes;
  Tags tags;
  std::optional<Checksum> checksum;
  uint32_t parts = 0;     // of the multipart upload it came from; 0: of none
  std::string upload_id;  // of that upload, so that completing it again finds it done
  template <class A>
  void fields(A& a) {
    a(1, content), a(2, etag), a(3, modified), a(4, attributes), a(5, tags), a(6, checksum), a(7, parts),
        a(8, upload_id);
  }
};

// One part of a finished multipart object: for partNumber reads.
struct ObjectPart {
  uint32_t number = 0;
  uint64_t size = 0;
  std::string checksum;  // bytes, of the object's kind; empty: none
  template <class A>
  void fields(A& a) {
    a(1, number), a(2, size), a(3, checksum);
  }
};
struct ObjectParts {
  std::vector<ObjectPart> parts;
  template <class A>
  void fields(A& a) {
    a(1, parts);
  }
};

struct UploadRecord {
  Time initiated;
  std::string initiator;  // the principal's ARN
  Attributes attributes;
  Tags tags;
  Sum sum = Sum::kCrc64Nvme;
  bool composite = false;
  bool sum_named = false;  // by the client: then its answers carry the parts' checksums
  template <class A>
  void fields(A& a) {
    a(1, initiated), a(2, initiator), a(3, attributes), a(4, tags), a(5, sum), a(6, composite), a(7, sum_named);
  }
};

struct PartRecord {
  blob::Ref content;
  std::string md5;  // raw
  Time modified;
  Checksum checksum;  // of the upload's kind
  template <class A>
  void fields(A& a) {
    a(1, content), a(2, md5), a(3, modified), a(4, checksum);
  }
};

struct ObjectEntry {
  std::string key;
  ObjectRecord object;
};
struct UploadEntry {
  std::string key, id;
  UploadRecord upload;
};
struct PartEntry {
  uint32_t number = 0;
  PartRecord part;
};

class Store {
 public:
  explicit Store(kv::Reader& reader) : reader_(reader) {}

  Task<std::optional<BucketRecord>> find_bucket(std::string bucket) const;
  // An account's buckets by name, after `after`.
  Task<std::vector<BucketRecord>> list_buckets(std::string account, std::string prefix, std::string after,
                                               size_t limit) const;
  Task<std::optional<ObjectRecord>> find_object(std::string bucket, std::string key) const;
  Task<ObjectParts> find_object_parts(std::string bucket, std::string key) const;
  // Objects with keys in [from, to), in order; an empty `to` is the end of the bucket.
  Task<std::vector<ObjectEntry>> list_objects(std::string bucket, std::string from, std::string to, size_t limit) const;
  Task<bool> is_empty(std::string bucket) const;

  Task<std::optional<UploadRecord>> find_upload(std::string bucket, std::string key, std::string id) const;
  // Uploads in progress by key, then by when they began: from (`key`, `id`) on, both inclusive.
  Task<std::vector<UploadEntry>> list_uploads(std::string bucket, std::string key, std::string id, size_t limit) const;
  Task<std::optional<PartRecord>> find_part(std::string bucket, std::string upload, uint32_t number) const;
  Task<std::vector<PartEntry>> list_parts(std::string bucket, std::string upload, uint32_t after, size_t limit) const;

 protected:
  kv::Reader& reader_;
};

class WriteStore : public Store {
 public:
  explicit WriteStore(kv::Txn& tx) : Store(tx), tx_(tx) {}
  void put_bucket(const BucketRecord& bucket);
  void erase_bucket(const BucketRecord& bucket);
  void put_object(const std::string& bucket, const std::string& key, const ObjectRecord& object);
  void put_object_parts(const std::string& bucket, const std::string& key, const ObjectParts& parts);
  void erase_object_parts(const std::string& bucket, const std::string& key);
  void erase_object(const std::string& bucket, const std::string& key);
  void put_upload(const std::string& bucket, const std::string& key, const std::string& id, const UploadRecord& upload);
  void erase_upload(const std::string& bucket, const std::string& key, const std::string& id);  // with its parts' rows
  void put_part(const std::string& bucket, const std::string& upload, uint32_t number, const PartRecord& part);

 private:
  kv::Txn& tx_;
};

// A new upload id; those made later compare greater.
std::string new_upload_id(Time now);

}  // namespace virga::s3
