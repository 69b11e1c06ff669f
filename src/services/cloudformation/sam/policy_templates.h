// SAM's policy templates: what each grants. One line of text a statement: the service, its actions, and after @ the
// resources; after ? a condition key and the ARN it must equal. An ARN lacks "arn:${AWS::Partition}:" (unless it is *
// or comes whole from a parameter), and ~ is the region and account.
#pragma once

#include <array>
#include <string_view>

namespace virga::cloudformation::sam {

struct PolicyTemplate {
  std::string_view name;
  std::string_view parameters;  // names, separated by spaces
  std::string_view statements;
};

inline constexpr std::array<PolicyTemplate, 81> kPolicyTemplates = {{
    {"AMIDescribePolicy", "", "ec2: DescribeImages @ *"},
    {"AWSSecretsManagerGetSecretValuePolicy", "SecretArn", "secretsmanager: GetSecretValue @ ${SecretArn}"},
    {"AWSSecretsManagerRotationPolicy", "FunctionName",
     "secretsmanager: DescribeSecret GetSecretValue PutSecretValue UpdateSecretVersionStage @ "
     "secretsmanager:~:secret:* ? secretsmanager:resource/AllowRotationLambdaArn "
     "lambda:~:function:${FunctionName}\n"
     "secretsmanager: GetRandomPassword @ *"},
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
    {"CodeCommitCrudPolicy", "RepositoryName",
     "codecommit: GitPull GitPush CreateBranch DeleteBranch GetBranch ListBranches MergeBranchesByFastForward "
     "MergeBranchesBySquash MergeBranchesByThreeWay UpdateDefaultBranch BatchDescribeMergeConflicts "
     "CreateUnreferencedMergeCommit DescribeMergeConflicts GetMergeCommit GetMergeOptions BatchGetPullRequests "
     "CreatePullRequest DescribePullRequestEvents GetCommentsForPullRequest GetCommitsFromMergeBase "
     "GetMergeConflicts GetPullRequest ListPullRequests MergePullRequestByFastForward MergePullRequestBySquash "
     "MergePullRequestByThreeWay PostCommentForPullRequest UpdatePullRequestDescription "
     "UpdatePullRequestStatus UpdatePullRequestTitle DeleteFile GetBlob GetFile GetFolder PutFile "
     "DeleteCommentContent GetComment GetCommentsForComparedCommit PostCommentForComparedCommit "
     "PostCommentReply UpdateComment BatchGetCommits CreateCommit GetCommit GetCommitHistory GetDifferences "
     "GetObjectIdentifier GetReferences GetTree GetRepository UpdateRepositoryDescription ListTagsForResource "
     "TagResource UntagResource GetRepositoryTriggers PutRepositoryTriggers TestRepositoryTriggers GetBranch "
     "GetCommit UploadArchive GetUploadArchiveStatus CancelUploadArchive @ codecommit:~:${RepositoryName}"},
    {"CodeCommitReadPolicy", "RepositoryName",
     "codecommit: GitPull GetBranch ListBranches BatchDescribeMergeConflicts DescribeMergeConflicts "
     "GetMergeCommit GetMergeOptions BatchGetPullRequests DescribePullRequestEvents GetCommentsForPullRequest "
     "GetCommitsFromMergeBase GetMergeConflicts GetPullRequest ListPullRequests GetBlob GetFile GetFolder "
     "GetComment GetCommentsForComparedCommit BatchGetCommits GetCommit GetCommitHistory GetDifferences "
     "GetObjectIdentifier GetReferences GetTree GetRepository ListTagsForResource GetRepositoryTriggers "
     "TestRepositoryTriggers GetBranch GetCommit GetUploadArchiveStatus @ codecommit:~:${RepositoryName}"},
    {"CodePipelineLambdaExecutionPolicy", "", "codepipeline: PutJobSuccessResult PutJobFailureResult @ *"},
    {"CodePipelineReadOnlyPolicy", "PipelineName",
     "codepipeline: ListPipelineExecutions @ codepipeline:~:${PipelineName}"},
    {"ComprehendBasicAccessPolicy", "",
     "comprehend: BatchDetectKeyPhrases DetectDominantLanguage DetectEntities BatchDetectEntities "
     "DetectKeyPhrases DetectSentiment BatchDetectDominantLanguage BatchDetectSentiment @ *"},
    {"CostExplorerReadOnlyPolicy", "",
     "ce: GetCostAndUsage GetDimensionValues GetReservationCoverage GetReservationPurchaseRecommendation "
     "GetReservationUtilization GetTags @ *"},
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
    {"EC2CopyImagePolicy", "ImageId", "ec2: CopyImage @ ec2:~:image/${ImageId}"},
    {"EC2DescribePolicy", "", "ec2: DescribeRegions DescribeInstances @ *"},
    {"EFSWriteAccessPolicy", "FileSystem AccessPoint",
     "elasticfilesystem: ClientMount ClientWrite @ elasticfilesystem:~:file-system/${FileSystem} ? "
     "elasticfilesystem:AccessPointArn elasticfilesystem:~:access-point/${AccessPoint}"},
    {"EKSDescribePolicy", "", "eks: DescribeCluster ListClusters @ *"},
    {"EcsRunTaskPolicy", "TaskDefinition", "ecs: RunTask @ ecs:~:task-definition/${TaskDefinition}"},
    {"ElasticMapReduceAddJobFlowStepsPolicy", "ClusterId",
     "elasticmapreduce: AddJobFlowSteps @ elasticmapreduce:~:cluster/${ClusterId}"},
    {"ElasticMapReduceCancelStepsPolicy", "ClusterId",
     "elasticmapreduce: CancelSteps @ elasticmapreduce:~:cluster/${ClusterId}"},
    {"ElasticMapReduceModifyInstanceFleetPolicy", "ClusterId",
     "elasticmapreduce: ModifyInstanceFleet ListInstanceFleets @ elasticmapreduce:~:cluster/${ClusterId}"},
    {"ElasticMapReduceModifyInstanceGroupsPolicy", "ClusterId",
     "elasticmapreduce: ModifyInstanceGroups ListInstanceGroups @ elasticmapreduce:~:cluster/${ClusterId}"},
    {"ElasticMapReduceSetTerminationProtectionPolicy", "ClusterId",
     "elasticmapreduce: SetTerminationProtection @ elasticmapreduce:~:cluster/${ClusterId}"},
    {"ElasticMapReduceTerminateJobFlowsPolicy", "ClusterId",
     "elasticmapreduce: TerminateJobFlows @ elasticmapreduce:~:cluster/${ClusterId}"},
    {"ElasticsearchHttpPostPolicy", "DomainName", "es: ESHttpPost ESHttpPut @ es:~:domain/${DomainName}/*"},
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
    {"MobileAnalyticsWriteOnlyAccessPolicy", "", "mobileanalytics: PutEvents @ *"},
    {"OrganizationsListAccountsPolicy", "", "organizations: ListAccounts @ *"},
    {"PinpointEndpointAccessPolicy", "PinpointApplicationId",
     "mobiletargeting: GetEndpoint UpdateEndpoint UpdateEndpointsBatch @ "
     "mobiletargeting:~:apps/${PinpointApplicationId}/endpoints/*"},
    {"PollyFullAccessPolicy", "LexiconName",
     "polly: GetLexicon DeleteLexicon @ polly:~:lexicon/${LexiconName}\n"
     "polly: DescribeVoices ListLexicons PutLexicon SynthesizeSpeech @ polly:~:lexicon/*"},
    {"RekognitionDetectOnlyPolicy", "", "rekognition: DetectFaces DetectLabels DetectModerationLabels DetectText @ *"},
    {"RekognitionFacesManagementPolicy", "CollectionId",
     "rekognition: IndexFaces DeleteFaces SearchFaces SearchFacesByImage ListFaces @ "
     "rekognition:~:collection/${CollectionId}"},
    {"RekognitionFacesPolicy", "", "rekognition: CompareFaces DetectFaces @ *"},
    {"RekognitionLabelsPolicy", "", "rekognition: DetectLabels DetectModerationLabels @ *"},
    {"RekognitionNoDataAccessPolicy", "CollectionId",
     "rekognition: CompareFaces DetectFaces DetectLabels DetectModerationLabels @ "
     "rekognition:~:collection/${CollectionId}"},
    {"RekognitionReadPolicy", "CollectionId",
     "rekognition: ListCollections ListFaces SearchFaces SearchFacesByImage @ "
     "rekognition:~:collection/${CollectionId}"},
    {"RekognitionWriteOnlyAccessPolicy", "CollectionId",
     "rekognition: CreateCollection IndexFaces @ rekognition:~:collection/${CollectionId}"},
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
    {"SageMakerCreateEndpointConfigPolicy", "EndpointConfigName",
     "sagemaker: CreateEndpointConfig @ sagemaker:~:endpoint-config/${EndpointConfigName}"},
    {"SageMakerCreateEndpointPolicy", "EndpointName",
     "sagemaker: CreateEndpoint @ sagemaker:~:endpoint/${EndpointName}"},
    {"ServerlessRepoReadWriteAccessPolicy", "",
     "serverlessrepo: CreateApplication CreateApplicationVersion UpdateApplication GetApplication "
     "ListApplications ListApplicationVersions ListApplicationDependencies @ serverlessrepo:~:applications/*"},
    {"StepFunctionsCallbackPolicy", "StateMachineName",
     "states: SendTaskFailure SendTaskHeartbeat SendTaskSuccess @ states:~:stateMachine:${StateMachineName}"},
    {"StepFunctionsExecutionPolicy", "StateMachineName",
     "states: StartExecution @ states:~:stateMachine:${StateMachineName}"},
    {"StepFunctionsExecutionPolicy_v2", "StateMachineName",
     "states: StartExecution StartSyncExecution @ states:~:stateMachine:${StateMachineName}"},
    {"TextractDetectAnalyzePolicy", "",
     "textract: DetectDocumentText StartDocumentTextDetection StartDocumentAnalysis AnalyzeDocument @ *"},
    {"TextractGetResultPolicy", "", "textract: GetDocumentTextDetection GetDocumentAnalysis @ *"},
    {"TextractPolicy", "", "textract: * @ *"},
    {"VPCAccessPolicy", "",
     "ec2: CreateNetworkInterface DeleteNetworkInterface DescribeNetworkInterfaces DetachNetworkInterface @ *"},
}};

}  // namespace virga::cloudformation::sam
