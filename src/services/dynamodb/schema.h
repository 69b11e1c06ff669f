// Turning CreateTable and UpdateTable requests into tables, and tables into descriptions. Pure.
#pragma once

#include <aws/dynamodb/types.h>

#include "services/dynamodb/model.h"

namespace virga::dynamodb {

// All that AWS checks of a table before it exists; throws ValidationException. The identity (account, id, times) is the
// caller's to fill in.
Table table_of(const CreateTableInput& in);
// Adds the definitions of an UpdateTable and its new index.
Index& add_global_index(Table& table, const CreateGlobalSecondaryIndexAction& in,
                        const std::vector<AttributeDefinition>& definitions);
void merge_definitions(Table& table, const std::vector<AttributeDefinition>& definitions);

// Refuses options that are not built, by name.
void refuse_unbuilt(const CreateTableInput& in);
void refuse_unbuilt(const UpdateTableInput& in);

// Of a table class; throws when there is no such class.
bool is_infrequent(std::string_view table_class);

// Sets the units to keep warm, and the most to be used on demand, of the index or the table; `is_new` of one that
// CreateTable makes. Throws when AWS would not.
void set_warmth(Table& table, Index* index, const std::optional<WarmThroughput>& warm,
                const std::optional<OnDemandThroughput>& most, bool is_new = false);

// A definition is dropped with the last key that uses it.
void drop_unused_definitions(Table& table);

// That capacity is within what a table may have.
void check_units(const ProvisionedThroughput& in);

// Attaches a policy document. Throws when it is malformed.
void set_policy(Table& table, const std::string& document);
// Revisions of policies are instants: a later one is greater.
std::string policy_revision_after(const std::string& before, Time now);

void add_tags(Table& table, const std::vector<Tag>& added);

// Everything but the counts.
TableDescription description_of(const Table& table);

}  // namespace virga::dynamodb
