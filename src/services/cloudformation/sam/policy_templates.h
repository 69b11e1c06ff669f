// SAM's policy templates: what each grants. One line of text a statement: the service, its actions, and after @ the
// resources. A resource lacks "arn:${AWS::Partition}:" (unless it is * or a whole ARN from a parameter), and ~ is the
// region and account.
#pragma once

#include <array>
#include <string_view>

namespace virga::cloudformation::sam {

struct PolicyTemplate {
  std::string_view name;
  std::string_view parameters;  // names, separated by spaces
  std::string_view statements;
};

inline constexpr std::array<PolicyTemplate, 45> kPolicyTemplates = {{
    {"AWSSecretsManagerGetSecretValuePolicy", "SecretArn", "secretsmanager: GetSecretValue @ ${SecretArn}"},
    {"AcmGetCertificatePolicy", "CertificateArn", "acm: GetCertificate @ ${CertificateArn}"},
    {"AthenaQueryPolicy", "WorkGroupName",
     "athena: ListWorkGroups GetExecutionEngine GetExecutionEngines GetNamespace GetCatalogs GetNamespaces "
     "GetTables GetTable @ *\n"
     "athena: StartQueryExecution GetQueryResults DeleteNamedQuery GetNamedQuery ListQueryExecutions "
     "StopQueryExecution GetQueryResultsStream ListNamedQueries CreateNamedQuery GetQueryExecution "
     "BatchGetNamedQuery BatchGetQueryExecution GetWorkGroup @ athena:~:workgroup/${WorkGroupName}"},
    {"CloudFormationDescribeStacksPolicy", "", "cloudformation: DescribeStacks @ cloudformation:~:stack/*"},
    {"CloudWatchDashboardPolicy", "", "cloudwatch: GetDashboard ListDashboards PutDashboard ListMetrics @ *"},
    {"CloudWatchDescribeAlarmHistoryPolicy", "", "cloudwatch: DescribeAlarmHistory @ *"},
    {"CloudWatchPutMetricPolicy", "", "cloudwatch: PutMetricData @ *"},
    {"DynamoDBBackupFullAccessPolicy", "TableName",
     "dynamodb: CreateBackup DescribeContinuousBackups @ dynamodb:~:table/${TableName}\n"
     "dynamodb: DeleteBackup DescribeBackup ListBackups @ dynamodb:~:table/${TableName}/backup/*"},
    {"DynamoDBCrudPolicy", "TableName",
     "dynamodb: GetItem DeleteItem PutItem Scan Query UpdateItem BatchWriteItem BatchGetItem DescribeTable "
     "ConditionCheckItem @ dynamodb:~:table/${TableName} dynamodb:~:table/${TableName}/index/*"},
    {"DynamoDBReadPolicy", "TableName",
     "dynamodb: GetItem Scan Query BatchGetItem DescribeTable @ dynamodb:~:table/${TableName} "
     "dynamodb:~:table/${TableName}/index/*"},
    {"DynamoDBReconfigurePolicy", "TableName", "dynamodb: UpdateTable @ dynamodb:~:table/${TableName}"},
    {"DynamoDBRestoreFromBackupPolicy", "TableName",
     "dynamodb: RestoreTableFromBackup @ dynamodb:~:table/${TableName}/backup/*\n"
     "dynamodb: PutItem UpdateItem DeleteItem GetItem Query Scan BatchWriteItem @ dynamodb:~:table/${TableName}"},
    {"DynamoDBStreamReadPolicy", "StreamName TableName",
     "dynamodb: DescribeStream GetRecords GetShardIterator @ dynamodb:~:table/${TableName}/stream/${StreamName}\n"
     "dynamodb: ListStreams @ dynamodb:~:table/${TableName}/stream/*"},
    {"DynamoDBWritePolicy", "TableName",
     "dynamodb: PutItem UpdateItem BatchWriteItem @ dynamodb:~:table/${TableName} "
     "dynamodb:~:table/${TableName}/index/*"},
    {"EcsRunTaskPolicy", "TaskDefinition", "ecs: RunTask @ ecs:~:task-definition/${TaskDefinition}"},
    {"EventBridgePutEventsPolicy", "EventBusName", "events: PutEvents @ events:~:event-bus/${EventBusName}"},
    {"FilterLogEventsPolicy", "LogGroupName", "logs: FilterLogEvents @ logs:~:log-group:${LogGroupName}:log-stream:*"},
    {"FirehoseCrudPolicy", "DeliveryStreamName",
     "firehose: CreateDeliveryStream DeleteDeliveryStream DescribeDeliveryStream PutRecord PutRecordBatch "
     "UpdateDestination @ firehose:~:deliverystream/${DeliveryStreamName}"},
    {"FirehoseWritePolicy", "DeliveryStreamName",
     "firehose: PutRecord PutRecordBatch @ firehose:~:deliverystream/${DeliveryStreamName}"},
    {"KMSDecryptPolicy", "KeyId", "kms: Decrypt @ kms:~:key/${KeyId}"},
    {"KMSEncryptPolicy", "KeyId", "kms: Encrypt @ kms:~:key/${KeyId}"},
    {"KMSEncryptPolicy_v2", "KeyId",
     "kms: Encrypt GenerateDataKey GenerateDataKeyWithoutPlaintext GenerateDataKeyPair "
     "GenerateDataKeyPairWithoutPlaintext @ kms:~:key/${KeyId}"},
    {"KinesisCrudPolicy", "StreamName",
     "kinesis: AddTagsToStream CreateStream DecreaseStreamRetentionPeriod DeleteStream DescribeStream "
     "DescribeStreamSummary GetShardIterator IncreaseStreamRetentionPeriod ListTagsForStream MergeShards PutRecord "
     "PutRecords SplitShard RemoveTagsFromStream @ kinesis:~:stream/${StreamName}"},
    {"KinesisStreamReadPolicy", "StreamName",
     "kinesis: ListStreams DescribeLimits @ kinesis:~:stream/*\n"
     "kinesis: DescribeStream DescribeStreamSummary GetRecords GetShardIterator @ kinesis:~:stream/${StreamName}"},
    {"LambdaInvokePolicy", "FunctionName", "lambda: InvokeFunction @ lambda:~:function:${FunctionName}*"},
    {"Route53ChangeResourceRecordSetsPolicy", "HostedZoneId",
     "route53: ChangeResourceRecordSets @ route53:::hostedzone/${HostedZoneId}"},
    {"S3CrudPolicy", "BucketName",
     "s3: GetObject ListBucket GetBucketLocation GetObjectVersion PutObject PutObjectAcl GetLifecycleConfiguration "
     "PutLifecycleConfiguration DeleteObject @ s3:::${BucketName} s3:::${BucketName}/*"},
    {"S3FullAccessPolicy", "BucketName",
     "s3: GetObject GetObjectAcl GetObjectVersion PutObject PutObjectAcl DeleteObject DeleteObjectTagging "
     "DeleteObjectVersionTagging GetObjectTagging GetObjectVersionTagging PutObjectTagging PutObjectVersionTagging "
     "@ s3:::${BucketName}/*\n"
     "s3: ListBucket GetBucketLocation GetLifecycleConfiguration PutLifecycleConfiguration @ s3:::${BucketName}"},
    {"S3ReadPolicy", "BucketName",
     "s3: GetObject ListBucket GetBucketLocation GetObjectVersion GetLifecycleConfiguration @ s3:::${BucketName} "
     "s3:::${BucketName}/*"},
    {"S3WritePolicy", "BucketName",
     "s3: PutObject PutObjectAcl PutLifecycleConfiguration @ s3:::${BucketName} s3:::${BucketName}/*"},
    {"SESBulkTemplatedCrudPolicy", "IdentityName",
     "ses: GetIdentityVerificationAttributes SendEmail SendRawEmail SendTemplatedEmail SendBulkTemplatedEmail "
     "VerifyEmailIdentity @ ses:~:identity/${IdentityName}"},
    {"SESBulkTemplatedCrudPolicy_v2", "IdentityName TemplateName",
     "ses: SendEmail SendRawEmail SendTemplatedEmail SendBulkTemplatedEmail @ ses:~:identity/${IdentityName} "
     "ses:~:template/${TemplateName}\n"
     "ses: GetIdentityVerificationAttributes VerifyEmailIdentity @ *"},
    {"SESCrudPolicy", "IdentityName",
     "ses: GetIdentityVerificationAttributes SendEmail SendRawEmail VerifyEmailIdentity @ "
     "ses:~:identity/${IdentityName}"},
    {"SESEmailTemplateCrudPolicy", "",
     "ses: CreateTemplate GetTemplate ListTemplates UpdateTemplate DeleteTemplate TestRenderTemplate @ *"},
    {"SESSendBouncePolicy", "IdentityName", "ses: SendBounce @ ses:~:identity/${IdentityName}"},
    {"SNSCrudPolicy", "TopicName",
     "sns: ListSubscriptionsByTopic CreateTopic SetTopicAttributes Subscribe Publish @ sns:~:${TopicName}*"},
    {"SNSPublishMessagePolicy", "TopicName", "sns: Publish @ sns:~:${TopicName}"},
    {"SQSPollerPolicy", "QueueName",
     "sqs: ChangeMessageVisibility ChangeMessageVisibilityBatch DeleteMessage DeleteMessageBatch "
     "GetQueueAttributes ReceiveMessage @ sqs:~:${QueueName}"},
    {"SQSSendMessagePolicy", "QueueName", "sqs: SendMessage* @ sqs:~:${QueueName}"},
    {"SSMParameterReadPolicy", "ParameterName",
     "ssm: DescribeParameters @ *\n"
     "ssm: GetParameters GetParameter GetParametersByPath @ ssm:~:parameter/${ParameterName}"},
    {"SSMParameterWithSlashPrefixReadPolicy", "ParameterName",
     "ssm: DescribeParameters @ *\n"
     "ssm: GetParameters GetParameter GetParametersByPath @ ssm:~:parameter${ParameterName}"},
    {"StepFunctionsCallbackPolicy", "StateMachineName",
     "states: SendTaskFailure SendTaskHeartbeat SendTaskSuccess @ states:~:stateMachine:${StateMachineName}"},
    {"StepFunctionsExecutionPolicy", "StateMachineName",
     "states: StartExecution @ states:~:stateMachine:${StateMachineName}"},
    {"StepFunctionsExecutionPolicy_v2", "StateMachineName",
     "states: StartExecution StartSyncExecution @ states:~:stateMachine:${StateMachineName}"},
    {"VPCAccessPolicy", "",
     "ec2: CreateNetworkInterface DeleteNetworkInterface DescribeNetworkInterfaces DetachNetworkInterface @ *"},
}};

}  // namespace virga::cloudformation::sam
