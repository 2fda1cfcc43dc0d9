drop table post_requests;
drop table posts;
